import { z } from 'zod';
import { common, overRegions, objectName, place } from './fields.ts';
import { procedure } from './procedure.ts';

/** R16. */
export const circuitBreaker = procedure({
  workflowType: 'openCircuitBreaker',
  input: z.strictObject({
    state: z
      .enum(['open', 'close'])
      .default('open')
      .describe('open it, or close it again with the values from before (default: open)'),
    configMap: objectName
      .optional()
      .describe('ConfigMap that switches it (default: from the settings)'),
    ...place,
    ...common,
    ...overRegions,
  }),
  argument: 'state',
  automatic: [],
  example: { state: 'open' },
});
