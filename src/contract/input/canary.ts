import { z } from 'zod';
import { common, overRegions, objectName, place } from './fields.ts';
import { procedure } from './procedure.ts';

/** R7. */
export const canary = procedure({
  workflowType: 'rollbackCanary',
  input: z.strictObject({
    service: objectName.describe('name of the Service whose canary is taken out'),
    ...place,
    canary: objectName
      .optional()
      .describe(
        'its canary: a subset, a Service or a Deployment (default: from the settings, or subset canary, or Service NAME-canary)',
      ),
    stable: objectName
      .optional()
      .describe(
        'who gets its traffic: a subset or a Service (default: from the settings, or the other destination of each route)',
      ),
    keep: z
      .boolean()
      .default(false)
      .describe(
        'delete nothing: leave the Deployment of the canary, scaled to zero, and its DestinationRule',
      ),
    ...common,
    ...overRegions,
  }),
  argument: 'service',
  automatic: [],
  example: { service: 'wakala' },
});
