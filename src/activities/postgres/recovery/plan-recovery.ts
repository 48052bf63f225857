import { tmpdir } from 'node:os';
import { execa } from 'execa';
import type { Client } from 'pg';
import type { Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';
import { programPath } from '../run-program.ts';
import { freeBytes } from '../restore/room.ts';
import type { Source } from '../restore/source.ts';
import { type BaseBackup, readManifest } from './base-backups.ts';
import type { LiveServer } from './live-server.ts';
import type { ControlData } from './parameters.ts';
import { accountOf } from './scratch.ts';
import { readControl, serverIdentity, strangerOf } from './side-cluster.ts';
import { readReach, segmentAt } from './wal.ts';

/** Of the 107 bytes for a socket's path, what is left by its name and that of the folder it is in. */
const longestScratch = 65;
const mostUnlogged = 10;
/** What one worker was seen to do, where its disk is not the limit. */
const bytesASecond = { unpack: 200e6, replay: 50e6, dump: 100e6 };

/**
 * Makes sure that a base backup and the WAL after it can be recovered to that time on this worker.
 * @throws Refused where they cannot, with what to do instead.
 */
export async function planRecovery(
  database: Database,
  {
    target,
    live,
    backup,
    to,
    text,
  }: {
    target: Target;
    live: LiveServer;
    backup: BaseBackup;
    to: Date;
    /** The same as it was asked for, which may be finer. */
    text: string | undefined;
  },
): Promise<Source> {
  const { recovery: settings, programs } = database.settings.backups ?? {};
  if (!settings) throw new Error(`The settings of ${database.key} have no recovery.`);
  const exactly = exactTime(to, text);
  const unlogged = await database.session(readUnlogged);
  const manifest = await readManifest(backup);
  await accountOf(backup.path);
  await assertPrograms(programs, live.major);
  await assertIsOf(backup, manifest.server, target, programs);
  const first = segmentAt(manifest.start, live.segmentBytes);
  const { segmentBytes } = live;
  const { segments, newest } = await readReach(settings.wal, { first, segmentBytes, to });
  const wal = segments * segmentBytes;
  const scratch = settings.scratch ?? tmpdir();
  // The files, the WAL that it replays, and the dump, which is no larger than the files.
  assertShort(scratch);
  const bytes = 2 * manifest.bytes + wal;
  await assertRoom(scratch, bytes);
  return {
    reference: {
      backup: backup.name,
      bytes: manifest.bytes,
      modifiedAt: backup.endedAt.toISOString(),
      contents: manifest.contents,
      recoverTo: exactly,
    },
    at: to,
    scratch: { folder: scratch, bytes },
    words: `base backup ${backup.name} is recovered to ${exactly} with ${segments} segments of WAL`,
    warnings: [
      ...(newest && newest >= to
        ? []
        : [
            `The archive reaches to ${newest?.toISOString() ?? 'no time at all'}: the live server is asked to archive the rest.`,
          ]),
      ...(unlogged === ''
        ? []
        : [`Unlogged tables have no WAL, and are empty afterwards: ${unlogged}.`]),
    ],
    seconds: Math.ceil(
      manifest.bytes / bytesASecond.unpack +
        wal / bytesASecond.replay +
        manifest.bytes / bytesASecond.dump,
    ),
  };
}

/** ISO 8601 with the microseconds that a Date does not have. */
export function exactTime(at: Date, text = ''): string {
  const [, fraction = ''] = /:\d{2}\.(\d{4,6})/.exec(text) ?? [];
  const iso = at.toISOString();
  return fraction === '' ? iso : iso.replace(/\.\d+/, `.${fraction.padEnd(6, '0')}`);
}

/** Names of the tables that recovery cannot bring back, as far as they are still there. */
async function readUnlogged(client: Client): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class
     where relpersistence = 'u' and relkind in ('r', 'm') order by 1 limit ${mostUnlogged + 1}`,
  );
  const names = rows.map(({ name }, index) => (index < mostUnlogged ? name : 'and more'));
  return names.join(', ');
}

/** @throws Refused where it is of another server, as far as that can be told before it is unpacked. */
async function assertIsOf(
  { path, isTar }: BaseBackup,
  server: string | undefined,
  target: Target,
  programs: string | undefined,
): Promise<void> {
  const control: ControlData | undefined = isTar
    ? server === undefined
      ? undefined
      : new Map([[serverIdentity, server]])
    : await readControl(path, programs);
  const stranger = control && strangerOf(control, target);
  if (stranger !== undefined) throw refused(`Base backup ${path}: ${stranger}.`);
}

/** @throws Refused where this worker has no programs of the live server's version. */
async function assertPrograms(programs: string | undefined, major: number): Promise<void> {
  const { stdout } = await execa(programPath('postgres', programs), ['--version'], {
    ...{ stdin: 'ignore', reject: false, timeout: 10_000 },
  });
  const found = /\(PostgreSQL\) (\d+)/.exec(stdout ?? '')?.[1];
  if (found === String(major)) return;
  throw refused(
    `Recovery needs the programs of PostgreSQL ${major} on this worker, and ${found === undefined ? 'there are none' : `those of ${found} are there`}: install them, or name their folder in backups.programs of the settings.`,
  );
}

/** @throws Refused where the socket of a server in it would have a longer path than the system takes. */
function assertShort(folder: string): void {
  if (Buffer.byteLength(folder) <= longestScratch) return;
  throw refused(
    `${folder} is too long for the path of a socket: name a folder of at most ${longestScratch} letters in backups.recovery.scratch.`,
  );
}

/** @throws Refused */
async function assertRoom(folder: string, bytes: number): Promise<void> {
  const free = await freeBytes(folder).catch((error: NodeJS.ErrnoException) => {
    throw refused(
      `Folder ${folder}, where the recovering server would have its files, cannot be read on this worker (${error.code}): make it, or name another in backups.recovery.scratch.`,
    );
  });
  if (free >= bytes) return;
  throw refused(
    `The recovery needs some ${Math.ceil(bytes / 1e6)} MB in ${folder}, which has ${Math.floor(free / 1e6)} MB free: make room, or name another folder in backups.recovery.scratch.`,
  );
}
