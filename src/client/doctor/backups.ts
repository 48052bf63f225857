/** What `rollback doctor` looks at of a database's folders: dumps, recovery, scripts of its schema. */
import { readdir } from 'node:fs/promises';
import type { Database } from '../../activities/postgres/database.ts';
import { listBaseBackups } from '../../activities/postgres/recovery/base-backups.ts';
import { listDumps } from '../../activities/postgres/restore/dumps.ts';
import { listScripts } from '../../activities/postgres/schema/script.ts';
import { CliError, exitCodes } from '../errors.ts';
import { type Finding, look, Warning } from './findings.ts';

/** A folder by the name of its setting; undefined where that is left out. */
type Folders = Record<string, string | undefined>;

/** Whether the folders are there, and anything in them that one could go back to. */
export async function checkBackups(
  findings: Finding[],
  database: Database,
  isElsewhere: boolean,
): Promise<void> {
  const { backups, schema } = database.settings;
  await Promise.all([
    backups?.folder && look(findings, 'backups', () => lookAtDumps(database), { isElsewhere }),
    backups?.recovery &&
      look(findings, 'recovery', () => lookAtRecovery(database), { isElsewhere }),
    schema &&
      look(findings, 'schema', () => lookAtScripts(database, schema.folder), { isElsewhere }),
  ]);
}

async function lookAtDumps(database: Database): Promise<[true, string]> {
  const { key, name, settings } = database;
  const { folder = '', programs } = settings.backups ?? {};
  const setting = `databases.${key}.backups`;
  await assertReadable({ [`${setting}.folder`]: folder, [`${setting}.programs`]: programs });
  const dumps = await listDumps(database);
  if (dumps.length > 0) {
    return [true, `${key}: ${folder}, newest ${dumps[0]?.name}, dumps in all: ${dumps.length}`];
  }
  throw new Warning(
    `${key}: ${folder} has no dump that is named ${name}_<time>, such as ${name}_2025-01-10T14-30-00Z.dump: take one, or correct ${setting}.folder`,
  );
}

async function lookAtRecovery(database: Database): Promise<[true, string]> {
  const { key, settings } = database;
  const { base = '', wal, scratch } = settings.backups?.recovery ?? {};
  const setting = `databases.${key}.backups.recovery`;
  await assertReadable({
    ...{ [`${setting}.base`]: base, [`${setting}.wal`]: wal, [`${setting}.scratch`]: scratch },
  });
  const [newest] = await listBaseBackups(database);
  if (newest) {
    const endedAt = newest.endedAt.toISOString();
    return [true, `${key}: ${base}, newest base backup ${newest.name} of ${endedAt}`];
  }
  throw new Warning(
    `${key}: ${base} has no base backup with a manifest: take one with pg_basebackup, or correct ${setting}.base`,
  );
}

async function lookAtScripts({ key }: Database, folder: string): Promise<[true, string]> {
  const setting = `databases.${key}.schema.folder`;
  await assertReadable({ [setting]: folder });
  const { length } = await listScripts(folder);
  if (length > 0) return [true, `${key}: ${folder}, scripts: ${length}`];
  throw new Warning(`${key}: ${folder} has no script *.sql: put them there, or correct ${setting}`);
}

/** @throws {CliError} with all that are not there or cannot be read. */
async function assertReadable(folders: Folders): Promise<void> {
  const found = await Promise.all(
    Object.entries(folders).map(async ([setting, folder]) =>
      folder === undefined
        ? []
        : readdir(folder).then(
            () => [],
            ({ code }: NodeJS.ErrnoException) => [`${folder} (${setting}: ${code})`],
          ),
    ),
  );
  const missing = found.flat();
  if (missing.length === 0) return;
  throw new CliError(
    `cannot be read: ${missing.join(', ')}; make or mount what is missing, or correct the settings`,
    exitCodes.unreachable,
  );
}
