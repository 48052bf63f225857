/** Settings of databases. */
import { z } from 'zod';
import { duration } from './duration.ts';

/** With account and password, from the environment: `${DATABASE_URL}`. */
const postgresUrl = z.url({
  protocol: /^postgres(ql)?$/,
  message: 'is not a postgres:// address',
});

/** A database that can be rolled back. */
export const database = z.strictObject({
  url: postgresUrl,
  /** Another database of the server, from which this one can be renamed. */
  maintenance: z.string().min(1).default('postgres'),
  /** PgBouncer in front of it, which is paused while the databases are swapped. */
  pooler: z
    .strictObject({
      /** Address of its admin console: `postgres://pgbouncer@host:6432/pgbouncer`. */
      url: postgresUrl,
      /** What PgBouncer calls the database; default: as the server does. */
      database: z.string().min(1).optional(),
      /** How long transactions get to end by themselves before they are ended. */
      pauseWithin: duration.default(2000),
    })
    .optional(),
  /** Dump archives, in the custom or directory format, named `<database>_<time>` or by any name. */
  backups: z
    .strictObject({
      folder: z.string().min(1),
      /** Tables that are restored at a time. */
      jobs: z.int().min(1).max(64).default(4),
      /** Folder of pg_restore and vacuumdb; default: the worker's PATH. */
      programs: z.string().min(1).optional(),
    })
    .optional(),
  /** How its schema is kept, and where the scripts are that take it back. */
  schema: z
    .strictObject({
      tool: z
        .enum(['plain', 'golang-migrate', 'flyway', 'node-pg-migrate', 'rails'])
        .default('plain'),
      /** Table of the applied versions; default: the tool's own. */
      table: z.string().min(1).optional(),
      folder: z.string().min(1),
    })
    .optional(),
  /** Queries of one value that are run on the restored copy before anything is switched to it. */
  verify: z
    .array(
      z.strictObject({
        query: z.string().min(1),
        /** What it must answer, exactly or at least; default: true, or a number over zero. */
        is: z.union([z.string(), z.number(), z.boolean()]).optional(),
        atLeast: z.number().optional(),
      }),
    )
    .default([]),
  /** Services, by their names in these settings, whose checks verify it, and which stop for it where that is asked. */
  services: z.array(z.string().min(1)).default([]),
  /** Caches, by their names in these settings, that have rows of it: their prefixes are cleared after a swap. */
  caches: z.array(z.string().min(1)).default([]),
});

export type DatabaseSettings = z.output<typeof database>;
