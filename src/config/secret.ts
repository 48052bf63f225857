/** Secrets of the settings: named, never written there. */
import { z } from 'zod';

/** What a header can have; whoever sends another one would say it in an error. */
export const headerPattern = /^[\t\x20-\x7e]*$/;
const headerText = z
  .string()
  .regex(headerPattern, 'has line breaks or characters other than ASCII');

const prefix = headerText.default('');

/** Where a secret is; it is read by whoever needs it, each time, so that a renewed one counts at once. */
export const secret = z.union(
  [
    z.strictObject({
      /** Variable of the worker's environment. */
      env: z.string().regex(/^[A-Za-z_]\w*$/, 'is not the name of an environment variable'),
      /** What stands before it, such as `Bearer `. */
      prefix,
    }),
    z.strictObject({
      /** File with nothing else in it, relative to the settings file. */
      file: z.string().min(1),
      prefix,
    }),
  ],
  'is not a secret such as { env: API_TOKEN, prefix: "Bearer " } or { file: /run/secrets/token }',
);
export type Secret = z.output<typeof secret>;

/** Names of what is likely to be a secret. */
export const secretNames = /^(proxy-)?authorization$|cookie|key|secret|token|password/i;

/** HTTP headers; those that prove who asks are secrets. */
export const headers = z
  .record(
    z.string().regex(/^[\w-]+$/, 'is not the name of a header'),
    z.union([headerText, secret], 'is neither a text nor a secret such as { env: API_TOKEN }'),
  )
  .default({})
  .check(({ value, issues }) => {
    for (const [name, content] of Object.entries(value)) {
      if (typeof content !== 'string' || !secretNames.test(name)) continue;
      const message = 'is a secret: write { env: NAME } or { file: PATH } in its place';
      issues.push({ code: 'custom', message, input: name, path: [name] });
    }
  });
export type Headers = z.output<typeof headers>;
