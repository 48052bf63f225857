import { z } from 'zod';
import { common, overRegions, labelValue, objectName, place, revision } from './fields.ts';
import { procedure } from './procedure.ts';

/** R9. */
export const statefulSet = procedure({
  workflowType: 'rollbackStatefulSet',
  input: z.strictObject({
    statefulSet: objectName.describe('name of the StatefulSet'),
    ...place,
    toRevision: revision.optional().describe('revision to go back to (default: the previous one)'),
    service: objectName
      .optional()
      .describe('Service that gets no traffic meanwhile (default: from the settings, else none)'),
    maintenance: labelValue
      .optional()
      .describe(
        'value of the label version that it selects meanwhile (default: from the settings, maintenance)',
      ),
    skipBackup: z
      .boolean()
      .default(false)
      .describe('go back without an archive of the state as it is now'),
    restore: z
      .string()
      .regex(/^\w[\w.:@+-]{0,250}$/, 'is neither previous nor the name of an archive or a run')
      .optional()
      .describe(
        'put the state back too: previous, the name of an archive, or the id of the run that made it',
      ),
    ...common,
    ...overRegions,
  }),
  argument: 'statefulSet',
  automatic: [],
  example: { statefulSet: 'wakala-stateful' },
});
