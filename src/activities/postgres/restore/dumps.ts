/** Dumps of a database, by the time that they are of. */
import { readdir } from 'node:fs/promises';
import { refused } from '../../failures.ts';
import type { Database } from '../database.ts';

export interface Dump {
  /** Name of the file or folder. */
  name: string;
  /** When it was taken. */
  at: Date;
}

/** Dumps in the settings' folder that are named after the database and a time, the newest first. */
export async function listDumps({ name, settings, key }: Database): Promise<Dump[]> {
  const { folder } = settings.backups ?? {};
  if (folder === undefined) {
    throw refused(
      `The settings do not say where backups of ${key} are: add databases.${key}.backups.folder.`,
    );
  }
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw refused(
      `Folder ${folder} of backups cannot be read on this worker (${error.code}): mount it, or name another in databases.${key}.backups.folder.`,
    );
  });
  return files
    .flatMap((file) => {
      const at = file.startsWith(`${name}_`) ? timeIn(file.slice(name.length + 1)) : undefined;
      return at === undefined ? [] : [{ name: file, at }];
    })
    .toSorted((one, other) => other.at.getTime() - one.at.getTime());
}

/** `2025-01-10T14-30-00Z` with or without the ending of a file. */
function timeIn(text: string): Date | undefined {
  const found = /^(\d{4}-\d{2}-\d{2})[T_](\d{2})[-:]?(\d{2})[-:]?(\d{2})Z?(\.\w+)?$/.exec(text);
  if (!found) return undefined;
  const [, day = '', hours = '', minutes = '', seconds = ''] = found;
  const at = new Date(`${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}
