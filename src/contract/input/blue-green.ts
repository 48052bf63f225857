import { z } from 'zod';
import { durationMs } from '../duration.ts';
import {
  common,
  overRegions,
  duration,
  labelKey,
  labelValue,
  objectName,
  place,
} from './fields.ts';
import { procedure } from './procedure.ts';

/** R6. */
export const blueGreen = procedure({
  workflowType: 'rollbackBlueGreen',
  input: z.strictObject({
    service: objectName.describe('name of the Kubernetes Service'),
    ...place,
    to: labelValue.optional().describe('colour to go to, such as blue (default: the other one)'),
    label: labelKey
      .optional()
      .describe('label that tells the colours apart (default: from the settings, version)'),
    soak: duration
      .refine((text) => durationMs(text) <= durationMs('1d'), 'is longer than a day')
      .optional()
      .describe(
        'how long the colour that is left keeps its pods after the checks (default: from the settings, 0s)',
      ),
    delete: z
      .boolean()
      .default(false)
      .describe('delete the Deployment that is left, at the very end; there is no way back'),
    ...common,
    ...overRegions,
  }),
  argument: 'service',
  automatic: [],
  example: { service: 'wakala' },
});
