/** What belongs to a database and not to its contents, so that no dump has it. */
import type { Client } from 'pg';
import { identifier, literal } from '../database.ts';

/** Settings whose value is a list of names, quoted as identifiers (PostgreSQL, GUC_LIST_QUOTE). */
const listSettings = [
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'temp_tablespaces',
];

/**
 * Statements that give `to` the settings, the grants and the limit of connections of the database
 * with this OID.
 */
export async function propertyStatements(
  client: Client,
  oid: number,
  to: string,
): Promise<string[]> {
  const name = identifier(to);
  const { rows: settings } = await client.query<{ role: string | null; entries: string[] }>(
    `select rolname as role, setconfig as entries from pg_db_role_setting
     left join pg_roles r on r.oid = setrole where setdatabase = $1`,
    [oid],
  );
  const { rows: grants } = await client.query<{
    grantee: string | null;
    privilege: string;
    grantable: boolean;
  }>(
    `select r.rolname as grantee, privilege_type as privilege, is_grantable as grantable
     from pg_database d, aclexplode(d.datacl) a left join pg_roles r on r.oid = a.grantee
     where d.oid = $1`,
    [oid],
  );
  const { rows: limits } = await client.query<{ limit: number }>(
    'select datconnlimit as limit from pg_database where oid = $1',
    [oid],
  );
  return [
    ...settings.flatMap(({ role, entries }) =>
      entries.map((entry) => {
        const at = entry.indexOf('=');
        const who = role === null ? '' : `role ${identifier(role)} in `;
        return `alter ${who}database ${name} set ${settingName(entry.slice(0, at))} to ${valueOf(entry.slice(0, at), entry.slice(at + 1))}`;
      }),
    ),
    // With no list of its own it has the default, as a new database does.
    ...(grants.length > 0 ? [`revoke all on database ${name} from public`] : []),
    ...grants.map(
      ({ grantee, privilege, grantable }) =>
        `grant ${privilege} on database ${name} to ${grantee === null ? 'public' : identifier(grantee)}${grantable ? ' with grant option' : ''}`,
    ),
    `alter database ${name} connection limit ${limits[0]?.limit ?? -1}`,
  ];
}

function settingName(name: string): string {
  return name.split('.').map(identifier).join('.');
}

function valueOf(name: string, value: string): string {
  if (!listSettings.includes(name)) return literal(value);
  const items = [...value.matchAll(/"((?:[^"]|"")*)"|([^",\s]+)/g)];
  const words = items.map(([, quoted, bare]) =>
    literal(quoted?.replaceAll('""', '"') ?? bare ?? ''),
  );
  return words.join(', ') || "''";
}
