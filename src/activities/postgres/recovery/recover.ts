import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Database } from '../database.ts';
import { type Archive, readArchive } from '../restore/archive.ts';
import type { RestoreMandate } from '../restore/restore-change.ts';
import { type BaseBackup, listBaseBackups, readManifest } from './base-backups.ts';
import { archiveWal, readServer } from './live-server.ts';
import { Scratch } from './scratch.ts';
import { SideCluster, strangerOf } from './side-cluster.ts';
import { readReach, segmentAt } from './wal.ts';

/**
 * Recovers the planned base backup to the planned time in a server of its own, on this machine, and
 * dumps the database there. The live server is asked for its WAL, and nothing more.
 * @param work gets the dump, which is gone afterwards, and how far it reaches in words
 * @throws PlanStale where the base backup is another one than was planned.
 * @throws RejectedBySystem with PostgreSQL's own words where it cannot be recovered.
 */
export async function withRecovered<T>(
  database: Database,
  { change: { target, after } }: RestoreMandate,
  to: Date,
  progress: Progress,
  work: (dump: Archive, reach: string) => Promise<T>,
): Promise<T> {
  const { recovery: settings, programs, jobs = 1 } = database.settings.backups ?? {};
  const backup = (await listBaseBackups(database)).find(({ name }) => name === after.backup);
  const manifest = backup && (await readManifest(backup));
  if (!settings || !backup || manifest?.contents !== after.contents) {
    throw stale(
      `Base backup ${after.backup} is not what it was when the plan was made: nothing was changed in ${target.name}; start again.`,
    );
  }
  const { user, segmentBytes } = await database.session(
    async (client) => {
      await database.assertIs(client, target);
      await archiveWal(client, progress);
      return readServer(client);
    },
    { database: database.settings.maintenance },
  );
  const exactly = after.recoverTo ?? to.toISOString();
  const reach = await readReach(settings.wal, {
    ...{ first: segmentAt(manifest.start, segmentBytes), segmentBytes, to },
  });
  const scratch = await Scratch.open(settings.scratch, backup.path);
  try {
    const cluster = new SideCluster({ settings, programs, scratch, progress });
    const attempt = async (what: string, why: Promise<string | undefined>) => {
      const reason = await why;
      if (reason !== undefined) throw failed(database, backup, `${what}: ${reason}`);
    };
    await attempt('it is not whole', cluster.unpack(backup));
    const control = await cluster.control();
    const reason = strangerOf(control, target);
    if (reason !== undefined) throw failed(database, backup, reason);
    await attempt('it cannot be recovered', cluster.recover(exactly, control, reach.segments));
    const dumped = cluster.dump(database.name, user, jobs, scratch.path('dump'));
    await attempt('what was recovered cannot be dumped', dumped);
    await cluster.close();
    const dump = await readArchive(scratch.folder, 'dump', programs);
    const last = cluster.lastTransaction ?? 'none after the base backup';
    return await work(dump, `${exactly} (last transaction: ${last})`);
  } finally {
    await scratch.close();
  }
}

const endsEarly = 'recovery ended before configured recovery target was reached';

function failed({ name }: Database, backup: BaseBackup, why: string): ApplicationFailure {
  const remedy = why.includes(endsEarly)
    ? ' The archive does not reach to that time: see that the live server archives its WAL (select pg_switch_wal()), then try again.'
    : '';
  return ApplicationFailure.nonRetryable(
    `Base backup ${backup.name}: ${why}.${remedy} ${name} was not touched.`,
    failureTypes.rejectedBySystem,
  );
}
