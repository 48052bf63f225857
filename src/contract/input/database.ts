import { z } from 'zod';
import { common, databaseName, line } from './fields.ts';
import { procedure } from './procedure.ts';

/** ISO 8601, with or without seconds and zone. */
const time = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?$/;

/** R12. */
export const database = procedure({
  workflowType: 'restoreDatabase',
  input: z.strictObject({
    database: databaseName,
    to: z
      .string()
      .regex(time, 'is not a time such as 2025-01-10T14:30:00Z')
      .optional()
      .describe('go back to this time, such as 2025-01-10T14:30:00Z; without a zone it is UTC'),
    backup: line(255)
      .regex(/^[^/]+$/, 'is not the name of a file in the folder of backups')
      .optional()
      .describe('restore this backup, in place of the newest one at or before that time'),
    undo: line(1000).optional().describe('swap back what the run with this id has swapped'),
    restoreOnly: z
      .boolean()
      .default(false)
      .describe('stop before the swap, to copy rows out of the restored copy'),
    stopFirst: z
      .boolean()
      .default(false)
      .describe('stop the services of the database before, and start them again after the swap'),
    ...common,
  }),
  argument: 'database',
  automatic: [],
  example: { to: '2025-01-10T14:30:00Z' },
});
