import { z } from 'zod';
import { common, featureName, line } from './fields.ts';
import { procedure } from './procedure.ts';

/** What R14 and R15 both take. */
export const feature = {
  feature: featureName.describe('name of the feature flag'),
  system: line(63)
    .optional()
    .describe('system of feature flags in the settings that has it (default: the only one)'),
  keepCache: z
    .boolean()
    .default(false)
    .describe('clear no cache: readers see the change when their entries have expired'),
};

/** R14. */
export const featureOff = procedure({
  workflowType: 'disableFeature',
  input: z.strictObject({ ...feature, ...common }),
  argument: 'feature',
  automatic: [],
  leavesNoMark: true,
  example: { feature: 'new_message_flow' },
});
