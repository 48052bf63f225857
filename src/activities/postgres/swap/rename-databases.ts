/** The transaction in which two databases change names, and who has them open is ended. */
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import pg from 'pg';
import { hashOf } from '../../../contract/digest.ts';
import { failureTypes } from '../../../contract/failures.ts';
import { stale } from '../../failures.ts';
import { identifier } from '../database.ts';
import { type Found, type Note, noteSql, readDatabases } from '../notes.ts';
import { findBlockers } from './blockers.ts';
import { propertyStatements } from './properties.ts';

/** How often it is looked whether all sessions of the database have ended. */
const lookEveryMs = 5;
const endAgainEveryMs = 200;
/** New sessions wait while the database is renamed, and must not for longer. */
const renameWithin = '1s';
/** Between two statements of the swap. */
const idleWithin = '2s';
const swapTries = 3;
/** A swap that waits for so long is about to give up; whom it waits for is seen only until then. */
const askAfterMs = 700;
/** Object in use, statement not done in time (PostgreSQL, appendix A). */
const inTheWay = ['55006', '57014'];

/** Two databases of which one takes the other's name. */
export interface Swap {
  live: Found;
  incoming: Found;
  /** What becomes of their notes. */
  incomingNote: Note | undefined;
  outgoingNote: Note;
  /** Name that the live database gets. */
  aside: string;
  /** Name that nobody has, which the other one gets until the live one's is free. */
  between: string;
}

/**
 * Gives both their new names in one transaction; a few times where others are in the way for a moment.
 * @returns how many sessions were ended
 * @throws PlanStale where one of the two is another database by now.
 * @throws RejectedBySystem with who still has one of them open.
 */
export async function tryToRename(
  client: pg.Client,
  other: pg.Client,
  swap: Swap,
): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    let waitedFor: string[] = [];
    const asking = setTimeout(() => {
      void readWaitedFor(client, other).then((found) => (waitedFor = found));
    }, askAfterMs);
    try {
      return await renameBoth(client, other, swap);
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      const isInTheWay = error instanceof pg.DatabaseError && inTheWay.includes(error.code ?? '');
      if (!isInTheWay) throw error;
      // What does not pass by itself must not end everybody's sessions once more.
      const blockers = await findBlockers(other, swap.live.name, swap.incoming.name);
      if (blockers.length > 0 || attempt === swapTries) {
        throw await stillOpen(other, swap, [error.message, ...waitedFor, ...blockers].join('; '));
      }
    } finally {
      clearTimeout(asking);
    }
  }
}

/**
 * The swap itself. Renaming a database takes a lock for which new sessions wait, and waits for the old
 * ones, which are ended by the other session as soon as the lock is there. The incoming database comes
 * first: whoever has that open, such as autovacuum, is waited for while the live one still serves.
 * @returns how many sessions were ended
 */
async function renameBoth(client: pg.Client, other: pg.Client, swap: Swap): Promise<number> {
  const { live, incoming, aside, between, incomingNote, outgoingNote } = swap;
  const properties = await propertyStatements(client, live.oid, incoming);
  await client.query('begin');
  // Where this worker is cut off, the server must not keep everybody waiting for it.
  await client.query(
    `set local statement_timeout = '${renameWithin}'; set local idle_in_transaction_session_timeout = '${idleWithin}'`,
  );
  for (const statement of properties) await client.query(statement);
  const ended =
    (await rename(client, other, incoming, between)) + (await rename(client, other, live, aside));
  await client.query(renaming(between, live.name));
  await assertUnchanged(client, swap);
  await client.query(noteSql(live.name, live.comment, incomingNote));
  await client.query(noteSql(aside, live.comment, outgoingNote));
  await client.query('commit');
  return ended;
}

/**
 * Renames a database while the other session ends whoever has it open.
 * @returns how many sessions were ended
 */
async function rename(
  client: pg.Client,
  other: pg.Client,
  { oid, name }: Found,
  to: string,
): Promise<number> {
  const renamed = { isOver: false };
  const answer = client.query(renaming(name, to)).finally(() => {
    renamed.isOver = true;
  });
  // Its failure is told below; it must not count as unhandled while sessions are being ended.
  answer.catch(() => undefined);
  const ended = await endAll(other, pidOf(client), oid, renamed);
  await answer;
  return ended;
}

function pidOf(client: pg.Client): number {
  return (client as pg.Client & { processID: number }).processID;
}

function renaming(name: string, to: string): string {
  return `alter database ${identifier(name)} rename to ${identifier(to)}`;
}

/**
 * With both locked until the end of the transaction: the two are still those that were looked at, and
 * not others that got their names, or were withdrawn, in between.
 * @throws PlanStale
 */
async function assertUnchanged(client: pg.Client, { live, incoming, aside }: Swap): Promise<void> {
  const all = await readDatabases(client);
  const now = (oid: number) => all.find((one) => one.oid === oid);
  const isSame =
    now(live.oid)?.name === aside &&
    now(incoming.oid)?.name === live.name &&
    hashOf(now(incoming.oid)?.note ?? null) === hashOf(incoming.note ?? null);
  if (isSame) return;
  throw stale(`${incoming.name} or ${live.name} was changed meanwhile: nothing was swapped.`);
}

/** Ends all sessions of a database once `pid` has locked it, until that has renamed it. */
async function endAll(
  other: pg.Client,
  pid: number,
  oid: number,
  renamed: { isOver: boolean },
): Promise<number> {
  let ended = 0;
  let lastAt = -Infinity;
  while (!renamed.isOver) {
    const isLocked = await hasLocked(other, pid, oid);
    if (isLocked && performance.now() - lastAt > endAgainEveryMs) {
      ended += await endSessions(other, oid);
      lastAt = performance.now();
    }
    await delay(lookEveryMs);
  }
  return ended;
}

async function hasLocked(client: pg.Client, pid: number, oid: number): Promise<boolean> {
  const { rows } = await client.query(
    `select 1 from pg_locks
     where locktype = 'object' and classid = 'pg_database'::regclass and objid = $2
       and mode = 'AccessExclusiveLock' and granted and pid = $1`,
    [pid, oid],
  );
  return rows.length > 0;
}

/**
 * Ends them in one statement: row by row the first would be back before the last is gone. Autovacuum
 * gives way by itself; it and superusers' sessions are not for everybody to end, and one that is
 * refused would leave the rest as they are.
 */
async function endSessions(client: pg.Client, oid: number): Promise<number> {
  const { rows } = await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity a
     where datid = $1 and pid <> pg_backend_pid() and backend_type in ('client backend', 'walsender')
       and ((select rolsuper from pg_roles where rolname = current_user)
         or not exists (select from pg_roles where oid = a.usesysid and rolsuper))`,
    [oid],
  );
  return rows.length;
}

/**
 * Whose locks the swap waits for, a sentence part each, as far as the role may see that. They may be in
 * any database: one that alters the settings of this one is.
 */
async function readWaitedFor(client: pg.Client, other: pg.Client): Promise<string[]> {
  try {
    const { rows } = await other.query<{ pid: number; who: string | null }>(
      `select pid, coalesce(usename, backend_type) || ' (' || coalesce(nullif(application_name, ''), 'unnamed')
         || ') in database ' || coalesce(quote_ident(datname), 'none') as who
       from unnest(pg_blocking_pids($1)) pid left join pg_stat_activity using (pid)`,
      [pidOf(client)],
    );
    return rows.map(({ pid, who }) =>
      pid === 0
        ? 'a prepared transaction holds a lock on it: see pg_prepared_xacts'
        : `process ${pid} of ${who ?? 'a user that cannot be seen'} holds a lock on it: end its transaction`,
    );
  } catch {
    // The swap has its own failure to tell.
    return [];
  }
}

/** Who has one of the two open. */
async function stillOpen(
  client: pg.Client,
  { live, incoming }: Swap,
  why: string,
): Promise<ApplicationFailure> {
  const { rows } = await client.query<{ who: string }>(
    `select coalesce(usename, backend_type) || ' (' || coalesce(nullif(application_name, ''), 'unnamed')
       || ', process ' || pid || ')' as who
     from pg_stat_activity where datid in ($1, $2) and pid <> pg_backend_pid() limit 5`,
    [live.oid, incoming.oid],
  );
  const names = rows.map(({ who }) => who).join(', ') || 'nobody any more';
  return ApplicationFailure.nonRetryable(
    `${live.name} cannot be swapped: ${why}; open now: ${names}. Nothing was changed: close that, then retry.`,
    failureTypes.rejectedBySystem,
  );
}
