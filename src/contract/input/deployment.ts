import { z } from 'zod';
import { common, overRegions, objectName, place, revision } from './fields.ts';
import { procedure } from './procedure.ts';

/** R3. */
export const deployment = procedure({
  workflowType: 'rollbackDeployment',
  input: z.strictObject({
    deployment: objectName.describe('name of the Deployment'),
    ...place,
    toRevision: revision.optional().describe('revision to go back to (default: the previous one)'),
    unpause: z
      .boolean()
      .default(false)
      .describe('roll back a paused Deployment too: new template and resume in one change'),
    ...common,
    ...overRegions,
  }),
  argument: 'deployment',
  automatic: ['deployment', 'namespace'],
  example: { deployment: 'wakala-api' },
});
