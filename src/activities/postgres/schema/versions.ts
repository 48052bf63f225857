/** The versions of a database's schema, as its tool for migrations keeps them. */
import pg, { type Client } from 'pg';
import type { Change, Mandate } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { type Database, identifier, literal } from '../database.ts';
import { compareVersions, type MigrationTool, noVersion, tools } from './tools.ts';

/** One step down, and the way back up where there is a script for it. */
export interface MigrationChange extends Change<
  { version: string },
  {
    version: string;
    script: string;
    /** SHA-256 of its SQL. */
    sha256: string;
    forward: string | null;
    forwardSha256: string | null;
  }
> {
  kind: 'schema/migration';
}
export type MigrationMandate = Mandate<MigrationChange>;

export interface Versions {
  tool: MigrationTool;
  /** The table as an identifier of SQL. */
  table: string;
  folder: string;
}

/** @throws Refused where the settings do not say how the schema is kept. */
export function versionsOf({ key, settings }: Database): Versions {
  const { schema } = settings;
  if (!schema) {
    throw refused(
      `The settings do not say how the schema of ${key} is kept: add databases.${key}.schema with its tool and the folder of its scripts.`,
    );
  }
  const tool = tools[schema.tool];
  const name = schema.table ?? tool.table;
  return { tool, table: name.split('.').map(identifier).join('.'), folder: schema.folder };
}

/** Whoever migrates this schema otherwise, where a session may become that and is no superuser's. */
const ownerSql = `
  select o.rolname from pg_roles o
    join pg_roles r on r.rolname = session_user
    join pg_database d on d.datname = current_database()
    left join pg_class t on t.oid = to_regclass($1)
  where o.oid in (t.relowner, d.datdba) and o.oid <> r.oid and not r.rolsuper and not o.rolsuper
    and pg_has_role(r.oid, o.oid,
      case when current_setting('server_version_num')::int < 160000 then 'MEMBER' else 'SET' end)
  order by o.oid = t.relowner desc limit 1`;

/**
 * Statement by which a script is run by the owner of the table of versions, or else of the database, until
 * `reset role` or the end of the transaction: what it makes must not belong to the worker's role. Without
 * effect for a superuser, and where the worker's role may become neither.
 */
export function becomeOwner(table: string): string {
  const owner = ownerSql.replaceAll(/\s+/g, ' ').replace('$1', () => literal(table));
  return `do $owner$ begin perform set_config('role', rolname, true) from (${owner}) one; end $owner$`;
}

const undefinedTable = '42P01';

/**
 * Applied versions, the oldest first.
 * @param files scripts, by which the earlier versions are known where the table has only the latest
 * @throws Refused where there is no such table, or an earlier migration has failed halfway.
 */
export async function readVersions(
  client: Client,
  { tool, table }: Versions,
  files: readonly string[],
): Promise<string[]> {
  try {
    const { rows } = await client.query<{ version: string }>(tool.applied(table));
    const found = rows.map(({ version }) => version);
    if (tool.dirty && ((await client.query(tool.dirty(table))).rowCount ?? 0) > 0) {
      throw refused(
        `Table ${table} says that a migration has failed halfway (version ${found.at(-1)}): put that right by hand first.`,
      );
    }
    if (tool.latestOnly) return upTo(found[0], tool, files);
    // A tool's own order counts; versions alone have none.
    return tool.applied(table).includes('order by') ? found : found.toSorted(compareVersions);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== undefinedTable) throw error;
    throw refused(
      `There is no table ${table} of versions: name the tool, or its table, in the database's schema settings.`,
    );
  }
}

/** Parts of a version as text that is in the order of `compareVersions`. */
const versionKey = `array(select case when part ~ '^[0-9]+$' then lpad(part, 60, '0') else part end
  from unnest(string_to_array(version, '.')) with ordinality p (part, n) order by n) collate "C"`;

/** Query of the latest version, for who has no worker: what `readVersions` and `latestOf` find. */
export function latestSql({ tool, table }: Versions): string {
  const applied = tool.applied(table);
  const inOrder = applied.includes('order by')
    ? applied
    : `select version from (${applied}) a order by ${versionKey}`;
  const sql = `select coalesce(versions[cardinality(versions)], ${literal(noVersion)})
    from (select array(${inOrder})::text[] as versions) v`;
  return sql.replaceAll(/\s+/g, ' ');
}

function upTo(latest: string | undefined, tool: MigrationTool, files: readonly string[]): string[] {
  if (latest === undefined) return [];
  const known = files.map((file) => tool.versionOf(file)).filter((one) => one !== undefined);
  const earlier = known.filter((version) => compareVersions(version, latest) < 0);
  return [...new Set(earlier)].toSorted(compareVersions).concat(latest);
}

/** The latest of the applied versions. */
export function latestOf(applied: readonly string[]): string {
  return applied.at(-1) ?? noVersion;
}
