/**
 * Where tools for migrations keep the applied versions, and what they call the scripts that take
 * them back. golang-migrate: migrate/database/postgres and MIGRATIONS.md; Flyway: "Undo migrations"
 * and "Schema history table"; node-pg-migrate: "Migrations as SQL"; Rails: ActiveRecord::SchemaMigration.
 */
import { literal } from '../database.ts';

/** A script on disk, or a part of one. */
export interface Script {
  file: string;
  /** Where both directions are in one file. */
  part?: 'up' | 'down';
}

export interface MigrationTool {
  /** Default name of the table of versions. */
  table: string;
  /** Query of the applied versions, one row each, the oldest first, as `version`. */
  applied: (table: string) => string;
  /** Whether the table has only the latest version, so that the earlier ones are known by the scripts. */
  latestOnly?: boolean;
  /** Query that answers a row where an earlier migration has failed halfway. */
  dirty?: (table: string) => string;
  /** Version that a script is of; undefined where it is none. */
  versionOf: (file: string) => string | undefined;
  /** Script that goes from a version down to the one before it. */
  down: (files: readonly string[], version: string, before: string) => Script | undefined;
  /** What that script is called, for people; `*` stands for any words. */
  downName: (version: string, before: string) => string;
  /** Script that brings a version on again. */
  up: (files: readonly string[], version: string) => Script | undefined;
  /** Statement that records that `version` was taken back, so that `before` is the latest. */
  recordDown: (table: string, version: string, before: string) => string;
  /** Statement that records that `version` was applied after `before`. */
  recordUp: (table: string, version: string) => string;
}

export type ToolName = 'plain' | 'golang-migrate' | 'flyway' | 'node-pg-migrate' | 'rails';

/** What stands for "no version": before the first. */
export const noVersion = '0';

/** In the order of their numbers where both are numbers, such as 9 before 10. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one.split('.'), other.split('.')];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [x = '0', y = '0'] = [a[index], b[index]];
    const areNumbers = /^\d+$/.test(x) && /^\d+$/.test(y);
    const order = areNumbers ? Number(BigInt(x) - BigInt(y)) : x < y ? -1 : x > y ? 1 : 0;
    if (order !== 0) return order;
  }
  return 0;
}

const rows = {
  applied: (table: string) => `select version::text as version from ${table}`,
  recordDown: (table: string, version: string) =>
    `delete from ${table} where version::text = ${literal(version)}`,
  recordUp: (table: string, version: string) =>
    `insert into ${table} (version) values (${literal(version)})`,
};

/** `20250101120000_add_orders.down.sql`, with or without leading zeros. */
const numbered = {
  versionOf: (file: string) => numberOf(/^(\d+)[_.-].*\.(?:up|down)\.sql$/.exec(file)?.[1]),
  down: (files: readonly string[], version: string) => named(files, version, 'down'),
  downName: (version: string) => `${version}_*.down.sql`,
  up: (files: readonly string[], version: string) => named(files, version, 'up'),
};

function named(files: readonly string[], version: string, way: 'up' | 'down'): Script | undefined {
  const file = files.find(
    (one) => numbered.versionOf(one) === numberOf(version) && one.endsWith(`.${way}.sql`),
  );
  return file === undefined ? undefined : { file };
}

function numberOf(text: string | undefined): string | undefined {
  return text?.replace(/^0+(?=\d)/, '');
}

function exactly(files: readonly string[], name: string): Script | undefined {
  return files.includes(name) ? { file: name } : undefined;
}

const rollbackTo = (before: string) => `rollback_to_v${before}.sql`;

const flywayVersion = (file: string, prefix: 'U' | 'V') =>
  new RegExp(`^${prefix}([0-9._]+)__.*\\.sql$`).exec(file)?.[1]?.replaceAll('_', '.');

export const tools: Record<ToolName, MigrationTool> = {
  /** The runbook's own: `rollback_to_v41.sql` goes down to 41, and `migrate_to_v42.sql` up to 42. */
  plain: {
    ...rows,
    table: 'schema_migrations',
    versionOf: (file) => /^(?:rollback|migrate)_to_v(.+)\.sql$/.exec(file)?.[1],
    down: (files, _, before) => exactly(files, rollbackTo(before)),
    downName: (_, before) => rollbackTo(before),
    up: (files, version) => exactly(files, `migrate_to_v${version}.sql`),
  },
  rails: { ...rows, ...numbered, table: 'schema_migrations' },
  'golang-migrate': {
    ...numbered,
    table: 'schema_migrations',
    latestOnly: true,
    applied: rows.applied,
    dirty: (table) => `select from ${table} where dirty`,
    recordDown: (table, version, before) =>
      before === noVersion
        ? rows.recordDown(table, version)
        : `update ${table} set version = ${literal(before)}`,
    recordUp: (table, version) =>
      `delete from ${table}; insert into ${table} (version, dirty) values (${literal(version)}, false)`,
  },
  flyway: {
    table: 'flyway_schema_history',
    applied: (table) =>
      `select version from ${table} h
       where success and version is not null and type not like 'UNDO%' and type <> 'DELETE'
         and not exists (select from ${table} u where u.version = h.version
           and u.type like 'UNDO%' and u.success and u.installed_rank > h.installed_rank)
       order by installed_rank`,
    dirty: (table) =>
      `select from ${table} where not success
         and installed_rank = (select max(installed_rank) from ${table})`,
    versionOf: (file) => flywayVersion(file, 'U') ?? flywayVersion(file, 'V'),
    down: (files, version) => byFlywayVersion(files, 'U', version),
    downName: (version) => `U${version}__*.sql`,
    up: (files, version) => byFlywayVersion(files, 'V', version),
    recordDown: (table, version) =>
      flywayRow(table, version, `'UNDO_SQL'`, 'null', `replace(script, 'V', 'U')`),
    recordUp: (table, version) => flywayRow(table, version, 'type', 'checksum', 'script'),
  },
  'node-pg-migrate': {
    table: 'pgmigrations',
    applied: (table) => `select name as version from ${table} order by run_on, id`,
    versionOf: (file) => /^(.+)\.sql$/.exec(file)?.[1],
    down: (files, version) => halfOf(files, version, 'down'),
    downName: (version) => `${version}.sql`,
    up: (files, version) => halfOf(files, version, 'up'),
    recordDown: (table, version) => `delete from ${table} where name = ${literal(version)}`,
    recordUp: (table, version) =>
      `insert into ${table} (name, run_on) values (${literal(version)}, now())`,
  },
};

function byFlywayVersion(
  files: readonly string[],
  prefix: 'U' | 'V',
  version: string,
): Script | undefined {
  const file = files.find((one) => flywayVersion(one, prefix) === version);
  return file === undefined ? undefined : { file };
}

/** A row like the one that has applied the version last. */
function flywayRow(
  table: string,
  version: string,
  type: string,
  checksum: string,
  script: string,
): string {
  return `insert into ${table} (installed_rank, version, description, type, script, checksum,
      installed_by, execution_time, success)
    select (select max(installed_rank) + 1 from ${table}), version, description, ${type}, ${script},
      ${checksum}, current_user, 0, true
    from ${table} where version = ${literal(version)} and type not like 'UNDO%'
    order by installed_rank desc limit 1`;
}

function halfOf(
  files: readonly string[],
  version: string,
  part: 'up' | 'down',
): Script | undefined {
  const file = `${version}.sql`;
  return files.includes(file) ? { file, part } : undefined;
}
