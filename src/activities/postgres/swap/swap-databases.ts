import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect, RunIdentity } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Comparison } from '../../kubernetes/deployment/compare-revisions.ts';
import type { Progress } from '../../progress.ts';
import { Database, identifier } from '../database.ts';
import { type Found, isOfRun, type Note, noteSql, readDatabases } from '../notes.ts';
import { derivedName, type SwapMandate } from '../restore/restore-change.ts';
import { findBlockers } from './blockers.ts';
import { whilePaused } from './pooler.ts';
import { propertyStatements } from './properties.ts';

/** How often it is looked whether all sessions of the database have ended. */
const lookEveryMs = 5;
const endAgainEveryMs = 200;
/** New sessions wait while the database is renamed, and must not for longer. */
const lockWithin = '2s';

/** Two databases of which one takes the other's name. */
interface Swap {
  live: Found;
  incoming: Found;
  /** What becomes of their notes. */
  incomingNote: Note | undefined;
  outgoingNote: Note;
  /** Name that the live database gets. */
  aside: string;
}

/**
 * Gives the live database's name to the run's copy, or takes that back, in one transaction: a server
 * or worker that is killed leaves either the old state or the new one. New sessions wait meanwhile
 * and the old ones are ended; grants, settings and limits go over with the name. The database that
 * was live is kept under a name with the time.
 * @throws PlanStale where the live database is another one than was planned, and for an undo that
 *   nobody has signed.
 * @throws RejectedBySystem with what is in the way, before anything is changed.
 */
export async function swapDatabases(
  { settings }: LoadedSettings,
  mandate: SwapMandate,
  progress: Progress,
): Promise<Effect> {
  const { change, undo, authority } = mandate;
  const database = new Database(settings, change.target.namespace);
  const { maintenance, pooler } = database.settings;
  const work = async (client: pg.Client): Promise<Effect> => {
    await database.assertIs(client, change.target);
    const all = await readDatabases(client);
    const done = alreadyDone(all, mandate);
    if (done) return done;
    if (undo && authority.abort === undefined) {
      throw stale(`${database.name} stays as it is: nobody has signed that it is swapped back.`);
    }
    const swap = undo ? swapBack(all, mandate) : swapForth(all, mandate);
    const blockers = await findBlockers(client, swap.live.name);
    if (blockers.length > 0) {
      throw ApplicationFailure.nonRetryable(
        `${database.name} cannot be swapped: ${blockers.join(' ')} Nothing was changed.`,
        failureTypes.rejectedBySystem,
      );
    }
    progress.report('Swapping');
    const begun = performance.now();
    const ended = await whilePaused(pooler, swap.live.name, () =>
      database.session((other) => carryOut(client, other, swap), {
        database: maintenance,
        statementMs: 0,
      }),
    );
    const ms = Math.round(performance.now() - begun);
    return {
      changed: true,
      text: `${swap.incoming.name} is ${swap.live.name} now, in ${ms} ms, with ${ended} sessions ended; what was live is kept as ${swap.aside}.`,
    };
  };
  return database.session(work, { database: maintenance, statementMs: 0 });
}

/**
 * Whether what was left is better than what was gone back to nobody can measure: writes of one of
 * the two are thrown away. Swapping back is always a person's decision.
 */
export async function compareDatabases(
  { settings }: LoadedSettings,
  mandate: SwapMandate,
): Promise<Comparison> {
  const database = new Database(settings, mandate.change.target.namespace);
  const all = await database.session(readDatabases, {
    database: database.settings.maintenance,
  });
  const isSwapped = alreadyDone(all, { ...mandate, undo: false }) !== undefined;
  return {
    ...{ beforeIsHealthier: !isSwapped, nothingToUndo: !isSwapped },
    text: isSwapped
      ? 'writes since the swap would be thrown away, and which database is right nobody can measure'
      : 'nothing to take back: the databases were not swapped',
  };
}

/** The effect where the live database is the one that the mandate wants, and by this run's doing. */
function alreadyDone(
  all: readonly Found[],
  { change, run, undo }: SwapMandate,
): Effect | undefined {
  const live = all.find(({ name }) => name === change.target.name);
  if (!undo && live?.note && isOfRun(live.note, run) && live.note.state === 'live') {
    return { changed: true, text: `${live.name} was already swapped by this run.` };
  }
  const hasSwapped = all.some(({ note }) => isOfRun(note, run) && note?.state === 'live');
  if (undo && live?.oid === change.before.oid && !hasSwapped) {
    return { changed: false, text: `${live.name} is the database that it was before the run.` };
  }
  return undefined;
}

/** @throws PlanStale */
function swapForth(all: readonly Found[], { change, run }: SwapMandate): Swap {
  const { target, before, after } = change;
  const live = assertLive(all, target.name, before.oid);
  const incoming = all.find(({ name }) => name === after.incoming);
  const { note } = incoming ?? {};
  const isOurs =
    after.undoes === null
      ? note?.state === 'restored' && isOfRun(note, run)
      : note?.state === 'old' && note.workflowId === after.undoes;
  if (!incoming || !note || !isOurs) {
    throw stale(
      `Database ${after.incoming} is not there as the plan has it: nothing was changed; start again.`,
    );
  }
  return swapOf(all, live, incoming, run, { ...note, state: 'live' });
}

/** @throws PlanStale */
function swapBack(all: readonly Found[], { change, run }: SwapMandate): Swap {
  const live = all.find(({ name }) => name === change.target.name);
  const incoming = all.find(({ oid }) => oid === change.before.oid);
  if (!live || !isOfRun(live.note, run) || !incoming) {
    throw stale(
      `${change.target.name} is another database now than this run has put there, or the one from before is gone: look at both with psql -l, and rename them yourself.`,
    );
  }
  return swapOf(all, live, incoming, run, undefined);
}

/** @param note of the incoming one; none where it becomes again what it was before any run */
function swapOf(
  all: readonly Found[],
  live: Found,
  incoming: Found,
  { workflowId, firstRunId }: RunIdentity,
  note: Note | undefined,
): Swap {
  const now = new Date();
  const run = { workflowId, firstRunId, at: now.toISOString() };
  const state = note ? 'old' : 'undone';
  let aside = derivedName(live.name, state, now);
  // Two swaps of one second must not be in each other's way.
  for (let later = 1; all.some(({ name }) => name === aside); later++) {
    aside = derivedName(live.name, state, new Date(now.getTime() + later * 1000));
  }
  return {
    ...{ live, incoming, aside },
    incomingNote: note && { ...note, ...run },
    outgoingNote: { ...run, state, of: live.name },
  };
}

function assertLive(all: readonly Found[], name: string, oid: number): Found {
  const live = all.find((one) => one.name === name);
  if (live?.oid === oid) return live;
  throw stale(
    `Database ${name} is another one now than when the plan was made: somebody has swapped or made it anew. Nothing was changed; start again.`,
  );
}

/**
 * The swap itself. The first renaming takes a lock for which new sessions wait, and waits for the old
 * ones, which are ended by the other session as soon as the lock is there.
 * @returns how many sessions were ended
 */
async function carryOut(client: pg.Client, other: pg.Client, swap: Swap): Promise<number> {
  const { live, incoming, aside, incomingNote, outgoingNote } = swap;
  const properties = await propertyStatements(client, live.oid, incoming.name);
  await endSessions(other, incoming.oid);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '${lockWithin}'`);
    for (const statement of properties) await client.query(statement);
    const renamed = { isOver: false };
    const renaming = client
      .query(`alter database ${identifier(live.name)} rename to ${identifier(aside)}`)
      .finally(() => {
        renamed.isOver = true;
      });
    // Its failure is told below; it must not count as unhandled while sessions are being ended.
    renaming.catch(() => undefined);
    const ended = await endAll(other, rows[0]?.pid ?? 0, live.oid, renamed);
    await renaming;
    await client.query(
      `alter database ${identifier(incoming.name)} rename to ${identifier(live.name)}`,
    );
    await client.query(noteSql(live.name, live.comment, incomingNote));
    await client.query(noteSql(aside, live.comment, outgoingNote));
    await client.query('commit');
    return ended;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
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

/** Ends them in one statement: row by row the first would be back before the last is gone. */
async function endSessions(client: pg.Client, oid: number): Promise<number> {
  const { rows } = await client.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datid = $1 and pid <> pg_backend_pid()',
    [oid],
  );
  return rows.length;
}
