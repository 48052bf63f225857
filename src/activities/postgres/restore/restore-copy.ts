import { ApplicationFailure } from '@temporalio/common';
import type { LoadedSettings } from '../../../config/settings.ts';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import { Database } from '../database.ts';
import { isOfRun } from '../notes.ts';
import { type Archive, isSameArchive, readArchive } from './archive.ts';
import { dropCopy, isLive, isRestored, makeCopy, noteRestored, readStanding } from './make-copy.ts';
import type { RestoreMandate } from './restore-change.ts';
import { runProgram } from './run-program.ts';
import { RestoreProgress } from './restore-progress.ts';

/**
 * Restores the planned archive into a copy beside the live database, or drops that as an undo. A copy
 * that was begun and is not whole is made anew; one that is whole stays.
 * @throws PlanStale where the archive is another one than was planned.
 * @throws RejectedBySystem with pg_restore's own words; the copy is left for a look, and goes with an abort.
 */
export async function restoreCopy(
  { settings }: LoadedSettings,
  mandate: RestoreMandate,
  progress: Progress,
): Promise<Effect> {
  const { change, run, undo } = mandate;
  const { target, after } = change;
  const database = new Database(settings, target.namespace);
  const { maintenance } = database.settings;
  const atServer = { database: maintenance, statementMs: 0 };
  const source = undo ? undefined : await readSource(database, mandate);
  const made = await database.session(
    async (client): Promise<Effect | (Source & { oid: number })> => {
      await database.assertIs(client, target);
      const standing = await readStanding(client, change);
      if (isLive(standing, run)) {
        if (undo) throw stale(`${after.copy} is live: it has to be swapped back first.`);
        return { changed: true, text: `The copy of ${after.backup} is already live.` };
      }
      if (!source) {
        if (!standing.copy || !isOfRun(standing.copy.note, run)) {
          return { changed: false, text: `This run has left no copy ${after.copy}.` };
        }
        await dropCopy(database, client, standing.copy, mandate);
        return {
          changed: true,
          text: `Copy ${after.copy} dropped; ${target.name} was not touched.`,
        };
      }
      if (isRestored(standing, run)) {
        return { changed: false, text: `${after.backup} was already restored into ${after.copy}.` };
      }
      progress.report(`Making ${after.copy}`);
      return { ...source, oid: await makeCopy(database, client, standing, mandate) };
    },
    atServer,
  );
  if ('changed' in made) return made;

  const begun = Date.now();
  await runRestore(database, made, mandate, progress);
  await database.session((client) => noteRestored(client, made.oid, mandate), atServer);
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  return { changed: true, text: `${after.backup} restored into ${after.copy} in ${seconds} s.` };
}

interface Source {
  archive: Archive;
  /** Bytes of the live tables and indexes, by schema and name. */
  sizes: ReadonlyMap<string, number>;
}

/** @throws PlanStale where the archive is another one now. */
async function readSource(
  database: Database,
  { change: { after } }: RestoreMandate,
): Promise<Source> {
  const { folder = '', programs } = database.settings.backups ?? {};
  const [archive, sizes] = await Promise.all([
    readArchive(folder, after.backup, programs),
    sizesOf(database),
  ]);
  if (isSameArchive(archive, after)) return { archive, sizes };
  throw stale(
    `Backup ${archive.path} is not what it was when the plan was made: nothing was changed in ${database.name}; start again.`,
  );
}

async function runRestore(
  database: Database,
  { archive, sizes }: Source,
  { change }: RestoreMandate,
  progress: Progress,
): Promise<void> {
  const seen = new RestoreProgress(archive, sizes, progress);
  const why = await runProgram(
    'pg_restore',
    ['--exit-on-error', '--verbose', archive.path],
    { database, on: change.after.copy },
    progress,
    (line) => seen.see(line),
  );
  if (why === undefined) return;
  throw ApplicationFailure.nonRetryable(
    `${archive.backup} cannot be restored: ${why}. ${change.target.name} was not touched.`,
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
