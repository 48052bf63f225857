import { z } from 'zod';
import { common, overRegions, place } from './fields.ts';
import { procedure } from './procedure.ts';

/** An owner that runs hold, as people name it: kind and name. */
const owner = z
  .string()
  .max(300, 'is longer than 300 characters')
  .regex(
    /^(application|applicationset|kustomization|helmrelease|canary)\/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/,
    'is not an owner such as application/shop, applicationset/shops, kustomization/apps, helmrelease/shop or canary/shop',
  );

/** Ends what a rollback began: GitOps or progressive delivery acts by itself again. */
export const release = procedure({
  workflowType: 'releaseOwner',
  input: z.strictObject({
    owner: owner.describe('what is held, such as application/shop or kustomization/apps'),
    ...place,
    ...common,
    ...overRegions,
  }),
  argument: 'owner',
  automatic: [],
  example: { owner: 'application/shop' },
});
