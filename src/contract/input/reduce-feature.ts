import { z } from 'zod';
import { feature } from './feature.ts';
import { common, duration, line } from './fields.ts';
import { procedure } from './procedure.ts';

/** R15. */
export const reduceFeature = procedure({
  workflowType: 'reduceFeature',
  input: z
    .strictObject({
      ...feature,
      percentages: z
        .array(z.int().min(0, 'must be 0 or more').max(99, 'must be 99 or less'))
        .min(1, 'is empty')
        .refine(
          (all) => all.every((one, index) => index === 0 || one < (all[index - 1] ?? 0)),
          'must go down from each to the next',
        )
        .default([50, 25, 10, 5, 0])
        .describe('shares in percent, one after the other (default: 50,25,10,5,0)'),
      watch: duration
        .default('2m')
        .describe('how long each share is watched before the error rate is measured'),
      gate: z
        .number()
        .min(0, 'must be 0 or more')
        .max(1, 'must be 1 or less')
        .default(0.02)
        .describe('error rate from 0 to 1 above which it goes on; at or below, it stays there'),
      errorRateField: line(200)
        .optional()
        .describe('where the error rate stands in the JSON of the address in the settings: a.b.0'),
      errorRateQuery: line(1000)
        .optional()
        .describe('PromQL for the error rate, asked of the Prometheus in the settings'),
      ...common,
    })
    .refine(({ errorRateField, errorRateQuery }) => !(errorRateField && errorRateQuery), {
      path: ['errorRateQuery'],
      message: 'measures it in another way than errorRateField: give one of the two',
    }),
  argument: 'feature',
  automatic: [],
  leavesNoMark: true,
  example: { feature: 'new_message_flow' },
});
