import { z } from 'zod';
import { common, overRegions, duration, objectName, place } from './fields.ts';
import { procedure } from './procedure.ts';

const most = 200;

/** R8. */
export const services = procedure({
  workflowType: 'rollbackServices',
  input: z
    .strictObject({
      services: z
        .array(objectName)
        .min(1, 'is empty: name services, or leave it out and say all')
        .max(most, `has more than ${most} names`)
        .optional()
        .describe('names of services in the settings, or of Deployments'),
      all: z
        .boolean()
        .default(false)
        .describe('every Deployment of the namespace that has an earlier revision'),
      since: duration
        .optional()
        .describe('with all: only those released within this time, such as 2h'),
      ...place,
      ...common,
      ...overRegions,
    })
    .refine(({ all, since }) => all || since === undefined, {
      path: ['since'],
      message: 'is for all: leave it out, or say all (--all) instead of names',
    }),
  argument: 'services',
  automatic: ['services', 'namespace'],
  example: { services: ['wakala-api', 'wakala-worker'] },
});
