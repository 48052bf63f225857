import type { InputOf } from '../../../contract/input.ts';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';
import { readArchive } from './archive.ts';
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
  const { backup, bytes, modifiedAt, contents } = archive;
  const age = Math.round((Date.now() - at.getTime()) / 60_000);
  return {
    reference: { backup, bytes, modifiedAt, contents, recoverTo: null },
    ...{ at, warnings: [], seconds: 0 },
    words: `backup ${backup} of ${at.toISOString()} (${age} min old) is taken`,
  };
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
