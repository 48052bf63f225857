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

/** Of a database. */
interface Properties {
  /** `name=value` by role; those of the database itself by the empty one. */
  settings: Map<string, string[]>;
  grants: Grant[];
  connectionLimit: number;
}

interface Grant {
  /** Null for everybody. */
  grantee: string | null;
  privilege: string;
  grantable: boolean;
}

/**
 * Statements that give `to` the settings, the grants and the limit of connections of the database
 * with the OID `from`, and take from it what that one does not have: nobody gets back in who was locked out
 * since `to` was live itself.
 */
export async function propertyStatements(
  client: Client,
  from: number,
  to: { oid: number; name: string },
): Promise<string[]> {
  const [wanted, found] = [await read(client, from), await read(client, to.oid)];
  const name = identifier(to.name);
  const roles = new Set([...wanted.settings.keys(), ...found.settings.keys()]);
  return [
    ...[...roles].flatMap((role) =>
      settingStatements(
        name,
        role,
        wanted.settings.get(role) ?? [],
        found.settings.get(role) ?? [],
      ),
    ),
    ...grantStatements(name, wanted.grants, found.grants),
    `alter database ${name} connection limit ${wanted.connectionLimit}`,
  ];
}

function settingStatements(
  database: string,
  role: string,
  wanted: readonly string[],
  found: readonly string[],
): string[] {
  if (areSame(wanted, found)) return [];
  const alter = `alter ${role === '' ? '' : `role ${identifier(role)} in `}database ${database}`;
  return [
    ...(found.length > 0 ? [`${alter} reset all`] : []),
    ...wanted.map((entry) => {
      const at = entry.indexOf('=');
      const [setting, value] = [entry.slice(0, at), entry.slice(at + 1)];
      return `${alter} set ${settingName(setting)} to ${valueOf(setting, value)}`;
    }),
  ];
}

function grantStatements(
  database: string,
  wanted: readonly Grant[],
  found: readonly Grant[],
): string[] {
  if (areSame(wanted, found)) return [];
  const who = (grantee: string | null) => (grantee === null ? 'public' : identifier(grantee));
  const grantees = new Set(found.map(({ grantee }) => who(grantee)));
  return [
    // Whoever has passed a privilege on has it back below, and so have those that got it.
    ...[...grantees].map((one) => `revoke all on database ${database} from ${one} cascade`),
    ...wanted.map(
      ({ grantee, privilege, grantable }) =>
        `grant ${privilege} on database ${database} to ${who(grantee)}${grantable ? ' with grant option' : ''}`,
    ),
  ];
}

/** Whether two lists have the same items, in whatever order. */
function areSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  const inOrder = (items: readonly unknown[]) =>
    JSON.stringify(items.map((item) => JSON.stringify(item)).toSorted());
  return inOrder(one) === inOrder(other);
}

async function read(client: Client, oid: number): Promise<Properties> {
  const { rows: settings } = await client.query<{ role: string; entries: string[] }>(
    `select coalesce(rolname, '') as role, setconfig as entries from pg_db_role_setting
     left join pg_roles r on r.oid = setrole where setdatabase = $1`,
    [oid],
  );
  // A list without entries lets nobody in; no list at all is the default.
  const { rows: grants } = await client.query<Grant>(
    `select r.rolname as grantee, privilege_type as privilege, is_grantable as grantable
     from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
     left join pg_roles r on r.oid = a.grantee
     where d.oid = $1`,
    [oid],
  );
  const { rows: limits } = await client.query<{ limit: number }>(
    'select datconnlimit as limit from pg_database where oid = $1',
    [oid],
  );
  return {
    settings: new Map(settings.map(({ role, entries }) => [role, entries])),
    grants,
    connectionLimit: limits[0]?.limit ?? -1,
  };
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
