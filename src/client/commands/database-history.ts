import { Database } from '../../activities/postgres/database.ts';
import { readDatabases, sizeOf } from '../../activities/postgres/notes.ts';
import { listBaseBackups } from '../../activities/postgres/recovery/base-backups.ts';
import { listDumps } from '../../activities/postgres/restore/dumps.ts';
import { listScripts } from '../../activities/postgres/schema/script.ts';
import { latestOf, readVersions, versionsOf } from '../../activities/postgres/schema/versions.ts';
import { noVersion } from '../../activities/postgres/schema/tools.ts';
import { loadSettings } from '../../config/settings.ts';
import { age, printJson, printLine, table } from '../output.ts';

interface Shown {
  json?: boolean;
}

/**
 * Prints the backups of a database, newest first, and the databases that runs have put aside or
 * restored and not switched to.
 */
export async function databaseHistory(name: string | undefined, { json }: Shown): Promise<number> {
  const database = new Database(loadSettings().settings, name);
  const backups = await backupsOf(database);
  const kept = await database.session(
    async (client) => {
      const found = [];
      for (const { name: copy, note } of await readDatabases(client)) {
        if (note?.of !== database.name || note.state === 'live') continue;
        const { state, at, workflowId: run } = note;
        found.push({ name: copy, bytes: await sizeOf(client, copy), state, at, run });
      }
      return found.toSorted((one, other) => (one.at < other.at ? 1 : -1));
    },
    { database: database.settings.maintenance },
  );
  if (json) {
    printJson({ backups, kept });
    return 0;
  }
  const rows = backups.map(({ name: file, kind, at }) => [file, kind, at.toISOString(), age(at)]);
  for (const line of table(['BACKUP', 'KIND', 'TAKEN AT', 'AGE'], rows)) printLine(line);
  const oldest = backups.findLast(({ kind }) => kind === 'base backup');
  if (oldest) {
    printLine(
      `--to takes it to any second since ${oldest.at.toISOString()} of which WAL is archived.`,
    );
  }
  if (kept.length > 0) {
    printLine();
    const asides = kept.map((one) => [
      ...[one.name, one.state, age(one.at), `${Math.ceil(one.bytes / 1e6)} MB`],
      one.run,
    ]);
    for (const line of table(['DATABASE', 'STATE', 'AGE', 'SIZE', 'RUN'], asides)) printLine(line);
  }
  return 0;
}

interface ListedBackup {
  name: string;
  kind: 'dump' | 'base backup';
  at: Date;
}

/** Dumps and base backups, as far as the settings say where they are, newest first. */
async function backupsOf(database: Database): Promise<ListedBackup[]> {
  const { folder, recovery } = database.settings.backups ?? {};
  const dumps = folder === undefined && recovery ? [] : await listDumps(database);
  const bases = await listBaseBackups(database);
  const listed = [
    ...dumps.map(({ name, at }) => ({ name, kind: 'dump' as const, at })),
    ...bases.map(({ name, endedAt }) => ({ name, kind: 'base backup' as const, at: endedAt })),
  ];
  return listed.toSorted((one, other) => other.at.getTime() - one.at.getTime());
}

/** Prints the applied versions of a schema, newest first, with the script that takes each back. */
export async function schemaHistory(name: string | undefined, { json }: Shown): Promise<number> {
  const database = new Database(loadSettings().settings, name);
  const versions = versionsOf(database);
  const files = await listScripts(versions.folder);
  const applied = await database.session((client) => readVersions(client, versions, files));
  const rows = applied
    .map((version, index) => ({
      version,
      current: version === latestOf(applied),
      script: versions.tool.down(files, version, applied[index - 1] ?? noVersion)?.file ?? null,
    }))
    .reverse();
  if (json) printJson(rows);
  else {
    const cells = rows.map(({ version, current, script }) => [
      `${version}${current ? ' (current)' : ''}`,
      script ?? 'none',
    ]);
    for (const line of table(['VERSION', 'TAKEN BACK BY'], cells)) printLine(line);
  }
  return 0;
}
