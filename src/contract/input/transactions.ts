import { z } from 'zod';
import { common, databaseName, duration } from './fields.ts';
import { procedure } from './procedure.ts';

/** R13. */
export const transactions = procedure({
  workflowType: 'terminateTransactions',
  input: z.strictObject({
    database: databaseName,
    olderThan: duration
      .default('5m')
      .describe('list sessions whose transaction is open for longer'),
    endAfter: duration.default('10m').describe('end those whose transaction is open for longer'),
    ...common,
  }),
  argument: 'database',
  automatic: [],
  leavesNoMark: true,
  example: {},
});
