/** Roles that an archive names: without them pg_restore fails, and at its end only for those with rights. */
import { execa } from 'execa';
import { type Database, identifier } from '../database.ts';
import { programPath } from '../run-program.ts';
import type { Archive } from './archive.ts';

interface Role {
  name: string;
  /** Whether the worker may make it an owner. */
  isOurs: boolean;
}

/** The server has these in any case, and gives them their own members. */
const ofServer = /^pg_/;

/**
 * Whether the server has all owners and grantees of an archive, and the worker may act for the owners;
 * where not, answers a sentence with what to run.
 */
export async function findMissingRoles(database: Database, archive: Archive): Promise<string[]> {
  const { worker, roles } = await readRoles(database);
  const owners = new Set(
    archive.entries
      .filter(({ owner }) => owner !== '')
      .map((entry) => ownerOf(entry, roles))
      .filter((owner) => !ofServer.test(owner)),
  );
  const has = (name: string) => roles.some((role) => role.name === name);
  const isOurs = (name: string) => roles.some((role) => role.name === name && role.isOurs);
  const named = new Set([...owners, ...(await granteesOf(database, archive))]);
  const missing = [...named].filter((name) => !has(name) && !ofServer.test(name));
  const foreign = [...owners].filter((name) => has(name) && !isOurs(name));
  const commands = [
    ...missing.map((name) => `CREATE ROLE ${identifier(name)}`),
    ...[...foreign, ...missing.filter((name) => owners.has(name))].map(
      (name) => `GRANT ${identifier(name)} TO ${identifier(worker)}`,
    ),
  ];
  if (commands.length === 0) return [];
  const why = [
    ...(missing.length > 0 ? [`the server has no role ${missing.join(', ')}`] : []),
    ...(foreign.length > 0 ? [`role ${worker} is no member of ${foreign.join(', ')}`] : []),
  ];
  return [
    `Backup ${archive.path} has what belongs to roles, or is granted to them, that it cannot be restored with: ${why.join(', and ')}. As a superuser: ${commands.join('; ')}.`,
  ];
}

async function readRoles(database: Database): Promise<{ worker: string; roles: Role[] }> {
  return database.session(async (client) => {
    const { rows } = await client.query<Role & { worker: string }>(
      `select rolname as name, current_user as worker, pg_has_role(oid,
         case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end
       ) as "isOurs" from pg_roles`,
    );
    return { worker: rows[0]?.worker ?? '', roles: rows };
  });
}

/** A list has names with spaces as they are: the longest role at the end of the line is the owner. */
function ownerOf({ name, owner }: Archive['entries'][number], roles: readonly Role[]): string {
  const found = roles
    .filter((role) => `${name} ${owner}`.endsWith(` ${role.name}`))
    .toSorted((one, other) => other.name.length - one.name.length);
  return found[0]?.name ?? owner;
}

/** Roles in the statements of the archive that give rights, which no list has. */
async function granteesOf(
  { settings }: Database,
  { entries, path }: Archive,
): Promise<readonly string[]> {
  const rights = entries.filter(({ kind }) => kind === 'ACL' || kind === 'DEFAULT ACL');
  if (rights.length === 0) return [];
  const program = programPath('pg_restore', settings.backups?.programs);
  const list = rights.map(({ id, kind, name, owner }) => `${id}; 0 0 ${kind} ${name} ${owner}`);
  // What we write to is a socket, which it could not open by a name.
  const script = 'cat | "$0" --use-list=/dev/stdin --file=- "$1"';
  const { stdout } = await execa('sh', ['-c', script, program, path], {
    ...{ input: list.join('\n'), reject: false, timeout: 15_000, env: { LC_ALL: 'C' } },
    maxBuffer: 256 * 1024 * 1024,
  });
  return [
    ...new Set(
      [...(stdout ?? '').matchAll(granteePattern)]
        .map(([, quoted, bare = '']) => quoted?.replaceAll('""', '"') ?? bare)
        .filter((name) => name !== 'PUBLIC'),
    ),
  ];
}

/** `… TO reader WITH GRANT OPTION;` at the end of a line. */
const granteePattern = / (?:TO|FROM) (?:"((?:[^"]|"")+)"|(\w+))(?: WITH GRANT OPTION)?;$/gm;
