import { z } from 'zod';
import { common, databaseName, line } from './fields.ts';
import { procedure } from './procedure.ts';

/** R11. */
export const schema = procedure({
  workflowType: 'rollbackSchema',
  input: z.strictObject({
    database: databaseName,
    to: line(200).describe('version of the schema to go back to, which stays applied'),
    ...common,
  }),
  argument: 'database',
  automatic: [],
  example: { to: '20250101120000' },
});
