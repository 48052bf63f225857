import { z } from 'zod';
import { common, overRegions, place, releaseName, revision } from './fields.ts';
import { procedure } from './procedure.ts';

/** R4. */
export const helm = procedure({
  workflowType: 'rollbackHelmRelease',
  input: z.strictObject({
    release: releaseName.describe('name of the Helm release'),
    ...place,
    toRevision: revision.optional().describe('revision to go back to (default: the last good one)'),
    takeOver: z
      .boolean()
      .default(false)
      .describe('go on although another helm seems to be at work on the release: it is known dead'),
    ...common,
    ...overRegions,
  }),
  argument: 'release',
  automatic: ['release', 'namespace'],
  example: { release: 'wakala' },
});
