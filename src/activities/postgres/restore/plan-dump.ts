import { execa } from 'execa';
import type { InputOf } from '../../../contract/input.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';
import { programPath } from '../run-program.ts';
import { type Archive, readArchive } from './archive.ts';
import { findMissingRoles } from './archive-roles.ts';
import { type Dump, listDumps } from './dumps.ts';
import type { Source } from './source.ts';

/**
 * Chooses the dump that the input names, or the newest one at or before `until`, and looks into it.
 * @param major version of the live server
 * @throws Refused where there is none, or it cannot be restored there.
 */
export async function planDump(
  database: Database,
  input: InputOf<'database'>,
  until: Date | undefined,
  major: number,
): Promise<Source> {
  const { name, at } = chosen(database, await listDumps(database), input, until);
  const { folder = '', programs } = database.settings.backups ?? {};
  const archive = await readArchive(folder, name, programs);
  if (archive.database !== database.name) {
    throw refused(
      `Backup ${archive.path} is of database ${archive.database}, not of ${database.name}: name another with --backup.`,
    );
  }
  if (archive.major > major) {
    throw refused(
      `Backup ${archive.path} is of PostgreSQL ${archive.major}, newer than the server's ${major}: it cannot be restored there.`,
    );
  }
  await assertFits(archive, major, programs);
  const { backup, bytes, modifiedAt, contents } = archive;
  const missing = input.backup === undefined && until ? until.getTime() - at.getTime() : 0;
  const age = Math.round((Date.now() - at.getTime()) / 60_000);
  return {
    reference: { backup, bytes, modifiedAt, contents, recoverTo: null },
    ...{ at, blockers: await findMissingRoles(database, archive), seconds: 0 },
    warnings:
      missing > 0
        ? [
            `Backup ${backup} is of ${spanInWords(missing)} before the time you asked for: what was written between ${at.toISOString()} and then does not come back.`,
          ]
        : [],
    words: `backup ${backup} of ${at.toISOString()} (${age} min old) is taken`,
  };
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** The two largest units of a span: `5 min 33 s`. */
function spanInWords(ms: number): string {
  const first = units.findIndex(([, length]) => ms >= length);
  if (first === -1) return 'less than a second';
  let rest = ms;
  const counts = units.slice(first, first + 2).map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest %= length;
    return { count, unit };
  });
  return counts
    .filter(({ count }) => count > 0)
    .map(({ count, unit }) => `${count} ${unit}`)
    .join(' ');
}

/** From this version on, pg_restore sets a parameter that servers before it do not know. */
const transactionTimeout = 17;

/** @throws Refused where the worker's pg_restore is too new for the server, or too old for the archive. */
async function assertFits(
  { path, madeBy }: Archive,
  major: number,
  programs: string | undefined,
): Promise<void> {
  const program = programPath('pg_restore', programs);
  const { stdout } = await execa(program, ['--version'], { reject: false, timeout: 5000 });
  const version = Number.parseInt(/\d+/.exec(stdout)?.[0] ?? '', 10);
  if (version >= transactionTimeout && major < transactionTimeout) {
    throw refused(
      `${program} on this worker is of PostgreSQL ${version}, and sets transaction_timeout, which the server's ${major} does not know: name a folder with programs of ${major} in backups.programs of the settings.`,
    );
  }
  if (version < madeBy) {
    throw refused(
      `Backup ${path} was made by pg_dump ${madeBy}, and ${program} on this worker is of PostgreSQL ${version} only: name a folder with programs of ${madeBy} in backups.programs of the settings.`,
    );
  }
}

/** @throws Refused where there is none. */
function chosen(
  database: Database,
  dumps: readonly Dump[],
  { backup: wanted, to }: InputOf<'database'>,
  until: Date | undefined,
): Dump {
  const found =
    wanted === undefined
      ? dumps.find(({ at }) => until !== undefined && at <= until)
      : dumps.find(({ name }) => name === wanted);
  if (found) return found;
  const { folder } = database.settings.backups ?? {};
  const [newest, oldest] = [dumps.at(0), dumps.at(-1)];
  const range =
    newest && oldest
      ? `the ${dumps.length} there reach from ${oldest.at.toISOString()} to ${newest.at.toISOString()}`
      : `none is named ${database.name}_<time>.dump`;
  throw refused(
    wanted === undefined
      ? `There is no backup of ${database.name} at or before ${to} in ${folder}: ${range}.`
      : `There is no backup ${wanted} of ${database.name} in ${folder}: ${range}.`,
  );
}
