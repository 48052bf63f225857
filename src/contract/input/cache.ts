import { z } from 'zod';
import { common, line } from './fields.ts';
import { procedure } from './procedure.ts';

/** Clears a cache, by itself or as a part of R18. */
export const cache = procedure({
  workflowType: 'clearCache',
  input: z
    .strictObject({
      cache: line(63).optional().describe('cache of the settings (default: the only one)'),
      flush: z
        .boolean()
        .default(false)
        .describe('empty its whole database, and not only the prefixes of the settings'),
      flushAll: z
        .boolean()
        .default(false)
        .describe('empty all databases of its servers, whoever they belong to'),
      ...common,
    })
    .refine(({ flush, flushAll }) => !(flush && flushAll), {
      path: ['flushAll'],
      message: 'empties more than flush: give one of the two',
    }),
  argument: 'cache',
  automatic: [],
  leavesNoMark: true,
  example: {},
});
