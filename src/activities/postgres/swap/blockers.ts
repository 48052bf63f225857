/** What keeps a database from being renamed, or breaks when it is. */
import type { Client } from 'pg';

/**
 * Everything that is in the way of a swap, a sentence each with what to do about it. Rights are part
 * of it: found by half, a swap would end its sessions and then fail.
 */
export async function findBlockers(client: Client, name: string): Promise<string[]> {
  return [
    ...(await standby(client)),
    ...(await serverProcesses(client, name)),
    ...(await rights(client, name)),
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

async function rights(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{
    role: string;
    owner: string;
    super: boolean;
    owns: boolean;
    creates: boolean;
    sees: boolean;
    ends: boolean;
    superusers: string[];
    roleSettings: string[];
  }>(
    `select r.rolname as role, pg_get_userbyid(d.datdba) as owner, r.rolsuper as super,
       pg_has_role(r.oid, d.datdba, 'usage') as owns, r.rolcreatedb as creates,
       pg_has_role(r.oid, 'pg_read_all_stats', 'usage') as sees,
       pg_has_role(r.oid, 'pg_signal_backend', 'usage') as ends,
       array(select distinct s.rolname::text from pg_stat_activity a join pg_roles s on s.oid = a.usesysid
             where a.datid = d.oid and s.rolsuper) as superusers,
       array(select rolname::text from pg_db_role_setting s join pg_roles o on o.oid = s.setrole
             where setdatabase = d.oid
               and not pg_has_role(r.oid, s.setrole, 'MEMBER WITH ADMIN OPTION')
               -- From PostgreSQL 16 on, CREATEROLE alone is not enough.
               and not (r.rolcreaterole and current_setting('server_version_num')::int < 160000)
            ) as "roleSettings"
     from pg_database d, pg_roles r where d.datname = $1 and r.rolname = current_user`,
    [name],
  );
  const [found] = rows;
  if (!found || found.super) return [];
  const { role, owner } = found;
  const missing = [
    ...(found.owns ? [] : [`GRANT ${owner} TO ${role}`]),
    ...(found.creates ? [] : [`ALTER ROLE ${role} CREATEDB`]),
    ...(found.sees ? [] : [`GRANT pg_read_all_stats TO ${role}`]),
    ...(found.ends ? [] : [`GRANT pg_signal_backend TO ${role}`]),
    ...found.roleSettings.map((other) => `GRANT ${other} TO ${role} WITH ADMIN OPTION`),
    ...(await superuserSettings(client, name)).map(
      (setting) =>
        `GRANT SET ON PARAMETER ${setting} TO ${role} (or ALTER DATABASE ${name} RESET ${setting})`,
    ),
  ];
  return [
    ...(missing.length > 0
      ? [
          `Role ${role} may not rename ${name}, end its sessions or carry its settings over: ${missing.join('; ')} (deploy/postgres-role.sql).`,
        ]
      : []),
    ...(found.superusers.length > 0
      ? [
          `Sessions of superuser ${found.superusers.join(', ')} are open on ${name}, which role ${role} cannot end: close them.`,
        ]
      : []),
  ];
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
