import { ApplicationFailure } from '@temporalio/common';
import type { Client } from 'pg';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import { Database, type SessionOptions } from '../database.ts';
import { isOfRun } from '../notes.ts';
import { withRecovered } from '../recovery/recover.ts';
import { runOn } from '../run-program.ts';
import { type Archive, isSameArchive, readArchive } from './archive.ts';
import {
  dropCopy,
  dropUnfinished,
  isBare,
  isLive,
  isRestored,
  makeCopy,
  noteRestored,
  readStanding,
  type Standing,
} from './make-copy.ts';
import type { RestoreMandate } from './restore-change.ts';
import { whileThereIsRoom } from './room.ts';
import { RestoreProgress } from './restore-progress.ts';

/**
 * Restores the planned dump into a copy beside the live database, or what a base backup is recovered to;
 * drops the copy as an undo. A copy that was begun and is not whole is made anew; one that is whole stays.
 * @throws PlanStale where the archive is another one than was planned.
 * @throws RejectedBySystem with PostgreSQL's own words, or where the live server's disk is filling up; half a copy is dropped.
 */
export async function restoreCopy(
  { settings }: LoadedSettings,
  mandate: RestoreMandate,
  progress: Progress,
): Promise<Effect> {
  const { change, run, undo } = mandate;
  const { target, after } = change;
  const database = new Database(settings, target.namespace);
  const found = await database.session(async (client): Promise<Effect | undefined> => {
    await database.assertIs(client, target);
    const standing = await readStanding(client, change);
    if (isLive(standing, run)) {
      if (undo) throw stale(`${after.copy} is live: it has to be swapped back first.`);
      return { changed: true, text: `The copy of ${after.backup} is already live.` };
    }
    if (undo) return takeBack(database, client, standing, mandate);
    return isRestored(standing, run)
      ? { changed: false, text: `${after.backup} was already restored into ${after.copy}.` }
      : undefined;
  }, atServer(database));
  if (found) return found;

  return whileThereIsRoom(database, progress, async (watched) => {
    const fill = (archive: Archive, what: string) =>
      fillCopy(database, mandate, watched, archive, what);
    if (after.recoverTo == null) return fill(await readDump(database, mandate), after.backup);
    const to = new Date(after.recoverTo);
    return withRecovered(database, mandate, to, watched, (dump, reach) =>
      fill(dump, `${target.name} as of ${reach} recovered from ${after.backup} and`),
    );
  });
}

/**
 * Makes the copy and restores an archive into it.
 * @param what is restored, in words
 */
async function fillCopy(
  database: Database,
  mandate: RestoreMandate,
  progress: Progress,
  archive: Archive,
  what: string,
): Promise<Effect> {
  const { after } = mandate.change;
  const begun = Date.now();
  progress.report(`Making ${after.copy}`);
  const [oid, sizes] = await Promise.all([
    database.session((client) => makeCopy(database, client, mandate), atServer(database)),
    sizesOf(database),
  ]);
  const seen = new RestoreProgress(archive, sizes, progress);
  try {
    await runRestore(database, archive, seen, mandate, progress);
  } catch (error) {
    // Half a copy is of no use, and takes room; an undo or another attempt finds none then.
    await database
      .session((client) => dropUnfinished(client, oid, mandate.change), atServer(database))
      .catch(() => undefined);
    throw error;
  }
  await database.session((client) => noteRestored(client, oid, mandate), atServer(database));
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  return { changed: true, text: `${what} restored into ${after.copy} in ${seconds} s.` };
}

/** Databases cannot be made or dropped from within, nor in a given time. */
function atServer({ settings }: Database): SessionOptions {
  return { database: settings.maintenance, statementMs: 0 };
}

async function takeBack(
  database: Database,
  client: Client,
  { copy }: Standing,
  mandate: RestoreMandate,
): Promise<Effect> {
  const { target, after } = mandate.change;
  if (!copy || !(isOfRun(copy.note, mandate.run) || (await isBare(database, copy)))) {
    return { changed: false, text: `This run has left no copy ${after.copy}.` };
  }
  await dropCopy(database, client, copy, mandate);
  return { changed: true, text: `Copy ${after.copy} dropped; ${target.name} was not touched.` };
}

/** @throws PlanStale where the archive is another one now. */
async function readDump(
  database: Database,
  { change: { after } }: RestoreMandate,
): Promise<Archive> {
  const { folder = '', programs } = database.settings.backups ?? {};
  const archive = await readArchive(folder, after.backup, programs);
  if (isSameArchive(archive, after)) return archive;
  throw stale(
    `Backup ${archive.path} is not what it was when the plan was made: nothing was changed in ${database.name}; start again.`,
  );
}

async function runRestore(
  database: Database,
  { path, backup }: Archive,
  seen: RestoreProgress,
  { change: { target, after } }: RestoreMandate,
  { cancelled }: Progress,
): Promise<void> {
  const flags = ['--exit-on-error', '--verbose', path];
  const see = (line: string) => seen.see(line);
  const why = await runOn({ database, on: after.copy }, 'pg_restore', flags, { cancelled, see });
  if (why === undefined) return;
  throw ApplicationFailure.nonRetryable(
    `${backup} cannot be restored: ${why}. ${target.name} was not touched.`,
    failureTypes.rejectedBySystem,
  );
}

/** Sizes of the live tables and indexes in bytes: what each part of the restore weighs. */
async function sizesOf(database: Database): Promise<Map<string, number>> {
  return database.session(async (client) => {
    const { rows } = await client.query<{ name: string; bytes: string }>(
      `select n.nspname || ' ' || c.relname as name, c.relpages::bigint * 8192 as bytes
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'i', 'm')`,
    );
    return new Map(rows.map(({ name, bytes }) => [name, Number(bytes)]));
  });
}
