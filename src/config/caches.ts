/** Settings of caches: Redis as one server, behind sentinels, or as a cluster. */
import { z } from 'zod';
import { duration } from './duration.ts';
import { secret } from './secret.ts';

/** With credentials from the environment: `redis://:${REDIS_PASSWORD}@host:6379/0`; TLS by `rediss://`. */
const address = z
  .url({
    protocol: /^rediss?$/,
    message: 'is not an address such as redis://host:6379 or rediss://host:6379',
  })
  .refine(
    (text) => !URL.canParse(text) || isPlain(new URL(text)),
    'has something other than the number of a database after the host: redis://host:6379/2',
  );

/** What is no number would be taken for database 0. */
function isPlain({ pathname, search, hash }: URL): boolean {
  return /^\/?\d*$/.test(pathname) && search + hash === '';
}

export const cache = z
  .strictObject({
    /** A single server, which must be a master. */
    url: address.optional(),
    /** Sentinels and the name that they have for the master; credentials there are the sentinels'. */
    sentinel: z
      .strictObject({ master: z.string().min(1), nodes: z.array(address).min(1) })
      .optional(),
    /** Some nodes of a cluster, which tell the others. */
    cluster: z.array(address).min(1).optional(),
    /** Credentials of the servers, the password by reference; default: those of the address. */
    username: z.string().min(1).optional(),
    password: z.union([z.string().min(1), secret], 'is neither a text nor a secret').optional(),
    /** Number of the database behind sentinels; elsewhere it stands in the address. */
    database: z.int().min(0).default(0),
    /** PEM files, relative to the settings file; what an address with rediss:// needs beyond itself. */
    tls: z
      .strictObject({
        ca: z.string().min(1).optional(),
        cert: z.string().min(1).optional(),
        key: z.string().min(1).optional(),
        serverName: z.string().min(1).optional(),
      })
      .optional(),
    /** What is cache in it: keys that begin so are cleared, and no others. */
    prefixes: z.array(z.string().min(1)).default([]),
    /** For a connection, and for each answer. */
    timeout: duration.default(5000),
  })
  .refine(
    ({ url, sentinel, cluster }) =>
      [url, sentinel, cluster].filter((way) => way !== undefined).length === 1,
    'needs exactly one of url, sentinel and cluster',
  );
export type CacheSettings = z.output<typeof cache>;
