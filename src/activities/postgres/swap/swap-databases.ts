import { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { counted } from '../../../contract/printable.ts';
import { stale } from '../../failures.ts';
import type { Comparison } from '../../kubernetes/deployment/compare-revisions.ts';
import type { Progress } from '../../progress.ts';
import { Database } from '../database.ts';
import { type Found, isOfRun, type Note, noteSql, readDatabases } from '../notes.ts';
import { derivedName, type SwapMandate } from '../restore/restore-change.ts';
import { findBlockers } from './blockers.ts';
import { resume, whilePaused } from './pooler.ts';
import { type Swap, tryToRename } from './rename-databases.ts';

const answerWithinMs = 15_000;

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
  const { maintenance } = database.settings;
  const atServer = { database: maintenance, statementMs: 0, answerMs: answerWithinMs };
  const work = async (client: pg.Client): Promise<Effect> => {
    await resume(database);
    await database.assertIs(client, change.target);
    const all = await readDatabases(client);
    const done = alreadyDone(all, mandate);
    if (done && undo) await withdraw(client, all, mandate);
    if (done) return done;
    if (undo && authority.abort === undefined) {
      throw stale(`${database.name} stays as it is: nobody has signed that it is swapped back.`);
    }
    const swap = undo ? swapBack(all, mandate) : swapForth(all, mandate);
    const blockers = await findBlockers(client, swap.live.name, swap.incoming.name);
    if (blockers.length > 0) {
      throw ApplicationFailure.nonRetryable(
        `${database.name} cannot be swapped: ${blockers.join(' ')} Nothing was changed.`,
        failureTypes.rejectedBySystem,
      );
    }
    progress.report('Swapping');
    const begun = performance.now();
    // Both sessions are there before clients have to wait: the server may have none left.
    const ended = await database.session(
      (other) => whilePaused(database, () => tryToRename(client, other, swap)),
      atServer,
    );
    const ms = Math.round(performance.now() - begun);
    return {
      changed: true,
      text: `${swap.incoming.name} is ${swap.live.name} now, in ${ms} ms, with ${counted(ended, 'session')} ended; what was live is kept as ${swap.aside}.`,
    };
  };
  return database.session(work, atServer);
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
    // Also where nothing was swapped the undo runs: it notes that no late attempt may do so.
    ...{ beforeIsHealthier: !isSwapped, nothingToUndo: false },
    text: isSwapped
      ? 'writes since the swap would be thrown away, and which database is right nobody can measure'
      : 'the databases were not swapped',
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
  const hasSwapped = all.some(
    ({ note }) => isOfRun(note, run) && ['live', 'old'].includes(note?.state ?? ''),
  );
  if (undo && !hasSwapped) {
    return { changed: false, text: `No swap of ${change.target.name} by this run stands.` };
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
  if (!incoming || !note || !isOurs || isOfRun(note.withdrawn, run)) {
    throw stale(
      `Database ${after.incoming} is not there as the plan has it: nothing was changed; start again.`,
    );
  }
  const now = { ...run, of: live.name, at: new Date().toISOString() };
  return {
    ...{ live, incoming, ...namesFor(all, live.name, 'old') },
    incomingNote: { ...note, ...now, state: 'live', was: withoutEarlier(note) },
    outgoingNote: { ...now, state: 'old', was: withoutEarlier(live.note) },
  };
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
  const at = new Date().toISOString();
  const was = live.note?.was;
  // Put aside by an earlier run, it is that run's again.
  const outgoingNote: Note =
    was?.state === 'old' ? was : { ...run, state: 'undone', of: live.name, at };
  const word = outgoingNote.state === 'old' ? 'old' : 'undone';
  return {
    ...{ live, incoming, ...namesFor(all, live.name, word) },
    ...{ incomingNote: incoming.note?.was, outgoingNote },
  };
}

function withoutEarlier(note: Note | undefined): Omit<Note, 'was'> | undefined {
  if (!note) return undefined;
  const { was: _, ...rest } = note;
  return rest;
}

/** Two swaps of one second must not be in each other's way. */
function namesFor(
  all: readonly Found[],
  live: string,
  word: 'old' | 'undone',
): Pick<Swap, 'aside' | 'between'> {
  for (let at = Date.now(); ; at += 1000) {
    const aside = derivedName(live, word, new Date(at));
    const between = derivedName(live, 'swap', new Date(at));
    if (!all.some(({ name }) => [aside, between].includes(name))) return { aside, between };
  }
}

/**
 * Notes that this run must not swap any more: an attempt that was frozen on the way wakes up after
 * the run was aborted.
 */
async function withdraw(
  client: pg.Client,
  all: readonly Found[],
  { change, run }: SwapMandate,
): Promise<void> {
  const incoming = all.find(({ name }) => name === change.after.incoming);
  if (!incoming?.note) return;
  const note = { ...incoming.note, withdrawn: run };
  await client.query(noteSql(incoming.name, incoming.comment, note));
}

function assertLive(all: readonly Found[], name: string, oid: number): Found {
  const live = all.find((one) => one.name === name);
  if (live?.oid === oid) return live;
  throw stale(
    `Database ${name} is another one now than when the plan was made: somebody has swapped or made it anew. Nothing was changed; start again.`,
  );
}
