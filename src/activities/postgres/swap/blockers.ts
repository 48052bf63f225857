/** What keeps a database from being renamed, or breaks when it is. */
import type { Client } from 'pg';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';

/**
 * Everything that is in the way of a swap, a sentence each with what to do about it. Rights are part
 * of it: found by half, a swap would end its sessions and then fail.
 * @param incoming database that takes the live one's name, where it is there already
 */
export async function findBlockers(
  client: Client,
  live: string,
  incoming?: string,
): Promise<string[]> {
  return [
    ...(await standby(client)),
    ...(await rights(client, live)),
    ...(await occupants(client, live)),
    ...(incoming === undefined ? [] : await occupants(client, incoming)),
  ];
}

/** @throws Refused with what is in the way. */
export function assertNothingBlocks({ name }: Database, blockers: readonly string[]): void {
  if (blockers.length > 0) throw refused(`${name} cannot go back: ${blockers.join(' ')}`);
}

/** What has a database open and cannot be ended, or would break. */
async function occupants(client: Client, name: string): Promise<string[]> {
  return [
    ...(await serverProcesses(client, name)),
    ...(await superusers(client, name)),
    ...(await preparedTransactions(client, name)),
    ...(await replicationSlots(client, name)),
    ...(await subscriptions(client, name)),
  ];
}

async function standby(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ is: boolean }>('select pg_is_in_recovery() as is');
  return rows[0]?.is ? ['The server is a standby, which changes nothing: name the primary.'] : [];
}

/** Processes of the server itself that have the database open, such as an extension's scheduler. */
async function serverProcesses(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ type: string }>(
    `select distinct backend_type as type from pg_stat_activity
     where datname = $1 and backend_type not in
       ('client backend', 'autovacuum worker', 'parallel worker', 'walsender')`,
    [name],
  );
  return rows.map(
    ({ type }) =>
      `Process ${type} of the server has ${name} open and starts again when it is ended: stop it, with the setting of its extension.`,
  );
}

/** Sessions that a role which is no superuser itself may not end. */
async function superusers(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ role: string; superusers: string[] }>(
    `select rolname as role,
       array(select distinct s.rolname::text from pg_stat_activity a join pg_roles s on s.oid = a.usesysid
             where a.datname = $1 and s.rolsuper) as superusers
     from pg_roles where rolname = current_user and not rolsuper`,
    [name],
  );
  return rows.flatMap(({ role, superusers: open }) =>
    open.length === 0
      ? []
      : [
          `Sessions of superuser ${open.join(', ')} are open on ${name}, which role ${role} cannot end: close them.`,
        ],
  );
}

async function rights(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{
    role: string;
    owner: string;
    super: boolean;
    owns: boolean;
    creates: boolean;
    makesRoles: boolean;
    sees: boolean;
    ends: boolean;
    needsAdmin: boolean;
    roleSettings: { role: string; isSuper: boolean; isAdmin: boolean }[];
  }>(
    `select r.rolname as role, pg_get_userbyid(d.datdba) as owner, r.rolsuper as super,
       pg_has_role(r.oid, d.datdba, 'usage') as owns, r.rolcreatedb as creates,
       r.rolcreaterole as "makesRoles",
       pg_has_role(r.oid, 'pg_read_all_stats', 'usage') as sees,
       pg_has_role(r.oid, 'pg_signal_backend', 'usage') as ends,
       -- From PostgreSQL 16 on, CREATEROLE alone is not enough; before, ADMIN OPTION is of no use.
       current_setting('server_version_num')::int >= 160000 as "needsAdmin",
       array(select json_build_object('role', rolname, 'isSuper', rolsuper,
                 'isAdmin', pg_has_role(r.oid, o.oid, 'MEMBER WITH ADMIN OPTION'))
             from pg_db_role_setting s join pg_roles o on o.oid = s.setrole
             where setdatabase = d.oid and o.oid <> r.oid) as "roleSettings"
     from pg_database d, pg_roles r where d.datname = $1 and r.rolname = current_user`,
    [name],
  );
  const [found] = rows;
  if (!found || found.super) return [];
  const { role, owner, roleSettings, needsAdmin } = found;
  const ordinary = roleSettings.filter(({ isSuper }) => !isSuper);
  const missing = [
    ...(found.owns ? [] : [`GRANT ${owner} TO ${role}`]),
    ...(found.creates ? [] : [`ALTER ROLE ${role} CREATEDB`]),
    ...(found.sees ? [] : [`GRANT pg_read_all_stats TO ${role}`]),
    ...(found.ends ? [] : [`GRANT pg_signal_backend TO ${role}`]),
    ...ordinary.flatMap(({ role: other, isAdmin }) => {
      const grants = [
        ...(found.makesRoles ? [] : [`ALTER ROLE ${role} CREATEROLE`]),
        ...(isAdmin || !needsAdmin ? [] : [`GRANT ${other} TO ${role} WITH ADMIN OPTION`]),
      ];
      return grants.length === 0 ? [] : [`${grants.join(' and ')} (or ${resetOf(other, name)})`];
    }),
    ...(await superuserSettings(client, name)).map(
      (setting) =>
        `GRANT SET ON PARAMETER ${setting} TO ${role} (or ALTER DATABASE ${name} RESET ${setting})`,
    ),
    // Nobody else may set anything for a superuser.
    ...roleSettings
      .filter(({ isSuper }) => isSuper)
      .map(({ role: other }) => `${resetOf(other, name)}, since ${other} is a superuser`),
  ];
  if (missing.length === 0) return [];
  return [
    `Role ${role} may not rename ${name}, end its sessions or carry its settings over: ${missing.join('; ')} (deploy/postgres-role.sql).`,
  ];
}

function resetOf(role: string, name: string): string {
  return `ALTER ROLE ${role} IN DATABASE ${name} RESET ALL`;
}

/** Settings of the database that only a superuser, or who was granted that, may set on another. */
async function superuserSettings(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ setting: string; version: number }>(
    `select distinct p.name as setting, current_setting('server_version_num')::int as version
     from pg_database d join pg_db_role_setting s on s.setdatabase = d.oid,
       unnest(setconfig) entry join pg_settings p on p.name = split_part(entry, '=', 1)
     where d.datname = $1 and p.context in ('superuser', 'superuser-backend')`,
    [name],
  );
  const settings = rows.map(({ setting }) => setting);
  if (settings.length === 0 || (rows[0]?.version ?? 0) < 150_000) return settings;
  const granted = await client.query<{ setting: string }>(
    `select setting from unnest($1::text[]) setting where not has_parameter_privilege(setting, 'SET')`,
    [settings],
  );
  return granted.rows.map(({ setting }) => setting);
}

async function preparedTransactions(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ gid: string; owner: string }>(
    'select gid, owner from pg_prepared_xacts where database = $1',
    [name],
  );
  return rows.map(
    ({ gid, owner }) =>
      `Transaction ${gid} of ${owner} is prepared in ${name}: COMMIT PREPARED or ROLLBACK PREPARED it there.`,
  );
}

async function replicationSlots(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ slot: string; active: boolean }>(
    'select slot_name as slot, active from pg_replication_slots where database = $1',
    [name],
  );
  return rows.map(
    ({ slot, active }) =>
      `${active ? 'Active' : 'Inactive'} replication slot ${slot} belongs to ${name} and would break with a swap: stop its consumer and drop it (select pg_drop_replication_slot(...)), then set change capture up anew.`,
  );
}

async function subscriptions(client: Client, name: string): Promise<string[]> {
  // Before PostgreSQL 15 superusers alone may read them.
  const allowed = await client.query<{ may: boolean }>(
    `select has_column_privilege('pg_subscription', 'subname', 'select') as may`,
  );
  if (!allowed.rows[0]?.may) return [];
  const { rows } = await client.query<{ subscription: string }>(
    `select subname as subscription from pg_subscription s join pg_database d on d.oid = s.subdbid
     where d.datname = $1`,
    [name],
  );
  return rows.map(
    ({ subscription }) =>
      `Subscription ${subscription} writes into ${name} and would go on in the old database: drop it, and make it anew after the swap.`,
  );
}
