/** Settings of databases. */
import { z } from 'zod';
import { duration } from './duration.ts';

/** With account and password, from the environment: `${DATABASE_URL}`. */
const postgresUrl = z.url({
  protocol: /^postgres(ql)?$/,
  message: 'is not a postgres:// address',
});

/** Recovery to a point in time, on the worker's machine, from what pg_basebackup and archive_command left. */
const recovery = z.strictObject({
  /** Folder with a folder for each base backup, in the plain or tar format, with its manifest. */
  base: z.string().min(1),
  /** Folder of archived WAL. */
  wal: z.string().min(1),
  /** How a file of WAL is fetched, with PostgreSQL's `%f` and `%p`; default: it is copied from that folder. */
  restoreCommand: z.string().min(1).optional(),
  /** Where the server that recovers has its files until it is dumped; default: the system's. */
  scratch: z.string().min(1).optional(),
  /** What that server is to be told, such as `shared_preload_libraries` that its extensions need. */
  parameters: z.record(z.string().regex(/^[a-z_.]+$/), z.string()).default({}),
});

/** A database that can be rolled back. */
export const database = z.strictObject({
  url: postgresUrl,
  /** Another database of the server, from which this one can be renamed. */
  maintenance: z.string().min(1).default('postgres'),
  /** PgBouncer in front of it, which is paused while the databases are swapped. */
  pooler: z
    .strictObject({
      /** Address of its console, with an account of its admin_users: `postgres://pgbouncer@host:6432/pgbouncer`. */
      url: postgresUrl,
      /** What PgBouncer calls the database; default: as the server does. */
      database: z.string().min(1).optional(),
      /** How long transactions get to end by themselves before they are ended. */
      pauseWithin: duration.default(2000),
    })
    .optional(),
  backups: z
    .strictObject({
      /** Dump archives, in the custom or directory format, named `<database>_<time>`. */
      folder: z.string().min(1).optional(),
      recovery: recovery.optional(),
      /** Tables that are dumped or restored at a time. */
      jobs: z.int().min(1).max(64).default(4),
      /** Folder of PostgreSQL's programs; default: the worker's PATH. */
      programs: z.string().min(1).optional(),
    })
    .refine((one) => one.folder ?? one.recovery, 'needs a folder of dumps, or recovery, or both')
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

export type RecoverySettings = z.output<typeof recovery>;
export type DatabaseSettings = z.output<typeof database>;
