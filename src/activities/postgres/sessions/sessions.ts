/** Sessions with long transactions, as pg_stat_activity tells them. */
import type { Client } from 'pg';
import type { Change, Mandate } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { applicationName } from '../database.ts';
import { replaceParts } from '../sql-parts.ts';

/**
 * Identity of one transaction: a process id is reused, and a pool's session goes on to the next
 * transaction. Times are seconds since 1970 with PostgreSQL's own six digits.
 */
export interface SessionChange extends Change<
  { pid: number; backendStart: string; transactionStart: string },
  { ended: true }
> {
  kind: 'database/sessions';
}
export type SessionMandate = Mandate<SessionChange>;

export interface Session {
  pid: number;
  backendStart: string;
  transactionStart: string;
  /** Milliseconds since its transaction began. */
  ageMs: number;
  user: string;
  application: string;
  client: string;
  state: string;
  query: string;
  /** Whether only a superuser may end it, which the worker's role is not. */
  isOutOfReach: boolean;
}

/**
 * Clients' sessions of a database with a transaction that is open for longer than `olderThanMs`, the
 * oldest first. Replication, autovacuum and other processes of the server are no clients; what copies
 * whole tables out, and we ourselves, are left alone as well.
 */
const longTransactionsSql = `
  select
    pid,
    extract(epoch from backend_start)::text as "backendStart",
    extract(epoch from xact_start)::text as "transactionStart",
    (extract(epoch from clock_timestamp() - xact_start) * 1000)::float8 as "ageMs",
    usename as "user",
    coalesce(application_name, '') as application,
    coalesce(client_hostname, host(client_addr), 'local') as client,
    state,
    coalesce(query, '') as query,
    usesysid in (select oid from pg_roles where rolsuper)
      and not (select rolsuper from pg_roles where rolname = current_user) as "isOutOfReach"
  from pg_stat_activity
  where datname = $1
    and backend_type = 'client backend'
    and pid <> pg_backend_pid()
    and application_name <> $2
    and application_name !~ '^(pg_dump|pg_dumpall|pg_basebackup|pg_restore)$'
    and query !~* '^\\s*copy\\s.*\\sto\\s'
    and xact_start < clock_timestamp() - $3 * interval '1 millisecond'
  order by xact_start`;

export async function findLongTransactions(
  client: Client,
  database: string,
  olderThanMs: number,
): Promise<Session[]> {
  await assertSeesAll(client);
  const { rows } = await client.query<Session>(longTransactionsSql, [
    ...[database, applicationName, olderThanMs],
  ]);
  return rows;
}

/** Processes that wait for a lock, by whom they wait for. */
export type Waits = ReadonlyMap<number, readonly number[]>;

/** Each waiting process is looked at once: for each, the server goes through the whole queue of its lock. */
export async function readWaits(client: Client): Promise<Waits> {
  const { rows } = await client.query<{ pid: number; blockers: number[] }>(
    `select pid, pg_blocking_pids(pid) as blockers from pg_stat_activity where wait_event_type = 'Lock'`,
  );
  const waits = new Map<number, number[]>();
  for (const { pid, blockers } of rows) {
    for (const blocker of new Set(blockers)) {
      const blocked = waits.get(blocker) ?? [];
      waits.set(blocker, blocked);
      blocked.push(pid);
    }
  }
  return waits;
}

/** Processes that wait for one of these, whether directly or behind others. */
export function waitingFor(pids: readonly number[], waits: Waits): Set<number> {
  const found = new Set<number>();
  const queue = [...pids];
  for (const pid of queue) {
    for (const waiting of waits.get(pid) ?? []) {
      if (!found.has(waiting)) queue.push(waiting);
      found.add(waiting);
    }
  }
  return found;
}

/**
 * To a role without the right, sessions of others have no type and no times, so that a search finds
 * nobody: "nothing to do" would be false.
 * @throws Refused
 */
export async function assertSeesAll(client: Client): Promise<void> {
  const { rows } = await client.query<{ role: string; sees: boolean; ends: boolean }>(
    `select current_user as role,
            pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees,
            pg_has_role(current_user, 'pg_signal_backend', 'usage') as ends`,
  );
  const { role = '', sees = false, ends = false } = rows[0] ?? {};
  const missing = [...(sees ? [] : ['pg_read_all_stats']), ...(ends ? [] : ['pg_signal_backend'])];
  if (missing.length === 0) return;
  throw refused(
    `Role ${role} may not see or end the sessions of others, so nobody can tell what is open: GRANT ${missing.join(', ')} TO ${role} (deploy/postgres-role.sql).`,
  );
}

/** A statement for people, in one line without its values, which may be anybody's data. */
export function withoutValues(query: string): string {
  const text = replaceParts(query, '?', (name) => name)
    .replace(/(?<![\w$])\.?\d[\w.]*/g, '?')
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > 200 ? `${text.slice(0, 200)} ...` : text;
}
