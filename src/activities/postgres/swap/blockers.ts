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
    settings: boolean;
  }>(
    `select r.rolname as role, pg_get_userbyid(d.datdba) as owner, r.rolsuper as super,
       pg_has_role(r.oid, d.datdba, 'usage') as owns, r.rolcreatedb as creates,
       pg_has_role(r.oid, 'pg_read_all_stats', 'usage') as sees,
       pg_has_role(r.oid, 'pg_signal_backend', 'usage') as ends,
       array(select distinct s.rolname::text from pg_stat_activity a join pg_roles s on s.oid = a.usesysid
             where a.datid = d.oid and s.rolsuper) as superusers,
       exists (select from pg_db_role_setting where setdatabase = d.oid and setrole <> 0)
         and not r.rolcreaterole as settings
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
    ...(found.settings ? [`ALTER ROLE ${role} CREATEROLE`] : []),
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
