/** Settings of feature flags: where a system has them, how they are changed, and who caches them. */
import { z } from 'zod';
import { duration } from './duration.ts';
import { headers } from './secret.ts';

const address = z
  .url({ protocol: /^https?$/, message: 'is not an http or https address' })
  .refine(
    (url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === '',
    'has credentials in it: they belong into headers',
  );

/** Keys and numbers of list items on the way to a value in JSON, with dots: `results.0.enabled`. */
const path = z.string().min(1);

/** Where a flag is read; `{name}` stands for its name. */
const reading = z.strictObject({
  url: address,
  headers,
  /** Where true or false stands. */
  enabled: path.default('enabled'),
  /** Where the share stands of those who have it; without it, a flag that is on is on for all. */
  percentage: path.optional(),
  /**
   * What must stand where for that share to say who has the flag: `{ strategies.length: 1 }`. A list
   * that is not there has no length but 0.
   */
  require: z.record(path, z.union([z.string(), z.number(), z.boolean()])).default({}),
  /** `off` where the system leaves out flags that are off, and so answers 404. */
  missing: z.literal('off', 'is nothing but off').optional(),
});
export type Reading = z.output<typeof reading>;

/**
 * A request that changes a flag. In its address, body and the keys of its body `{name}` stands for
 * the flag's name, `{percentage}` for the wanted share, `{rest}` for what it leaves to 100 %, and
 * `{answer.PATH}` for what the source answered there. A value that is nothing else but a share is a
 * number; `{percentage:text}` makes it a text. Headers that are no secrets may have them too, such as
 * `if-match: '{answer.version}'`.
 */
const changing = z.strictObject({
  method: z.enum(['PATCH', 'PUT', 'POST', 'DELETE']).default('PATCH'),
  url: address,
  headers,
  body: z.json().optional(),
});
export type Changing = z.output<typeof changing>;

const rate = { headers, timeout: duration.default(3000) };

/** Where the share of failed requests stands, 0 to 1. */
const errorRate = z.union(
  [
    z.strictObject({ url: address, field: path.default('error_rate'), ...rate }),
    /** Prometheus, by its base address, and a query with one result; `{name}` is the flag's name. */
    z.strictObject({ prometheus: address, query: z.string().min(1), ...rate }),
  ],
  'is neither { url, field } nor { prometheus, query }',
);
export type FeatureErrorRate = z.output<typeof errorRate>;

export const featureSystem = z
  .strictObject({
    /** For the source and for changes; the public address gets only its own. */
    headers,
    /** For each answer. */
    timeout: duration.default(5000),
    /** What stands for 100 % there. */
    whole: z.number().positive().default(100),
    /** Where flags are kept; it must not answer from a cache. */
    source: reading.optional(),
    /** Where everybody reads them, through whatever caches there are; default: the source. */
    public: reading.optional(),
    /** Where exceptions are listed that stay on after the flag is off; a plan only warns of them. */
    overrides: z
      .strictObject({
        url: address,
        headers,
        /** The list, and in each of its items where true or false stands. */
        list: path.default('results'),
        enabled: path.default('enabled'),
        /** An item is an exception where one of these is something; without them, each is. */
        by: z.array(path).default([]),
      })
      .optional(),
    /** Turns a flag off. */
    off: changing,
    /** Turns it on again, as it was. */
    on: changing,
    /** Changes for how many it is on; without it, it cannot be reduced bit by bit. */
    percentage: changing.optional(),
    /** What is cleared of which cache, so that a change is seen; `{name}` is the flag's name. */
    cache: z
      .strictObject({
        name: z.string().min(1),
        keys: z.array(z.string().min(1)).default([]),
        prefixes: z.array(z.string().min(1)).default([]),
      })
      .refine(({ keys, prefixes }) => keys.length + prefixes.length > 0, 'has no keys or prefixes')
      .optional(),
    /** After a change, all these requests at once must see it, within the limit. */
    readBack: z
      .strictObject({
        requests: z.int().min(1).max(100).default(5),
        every: duration.default(1000),
        limit: duration.default(120_000),
      })
      .prefault({}),
    errorRate: errorRate.optional(),
  })
  .refine(
    ({ source, public: readers }) => source ?? readers,
    'does not say where flags are read: give source, public or both',
  )
  .refine(
    ({ percentage, source, public: readers }) =>
      !percentage || [source, readers].every((one) => !one || one.percentage !== undefined),
    {
      path: ['percentage'],
      message: 'changes a share that is read nowhere: say where it stands, in source and in public',
    },
  );
export type FeatureSystem = z.output<typeof featureSystem>;

/** Tells of flags in caches that the settings do not have. */
export function assertCaches({
  value: { features, caches },
  issues,
}: z.core.ParsePayload<{
  features: Record<string, FeatureSystem>;
  caches: Record<string, unknown>;
}>): void {
  for (const [name, { cache }] of Object.entries(features)) {
    if (cache === undefined || Object.hasOwn(caches, cache.name)) continue;
    const message = `names ${cache.name}, which is no cache here`;
    const place = ['features', name, 'cache', 'name'];
    issues.push({ code: 'custom', message, input: cache.name, path: place });
  }
}
