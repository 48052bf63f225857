/** What runs have noted on a server: the one trace that nobody can make who may only write to Temporal. */
import type { LoadedSettings } from '../../config/settings.ts';
import { tokenLimits } from '../../contract/decision.ts';
import type { Change, RunIdentity } from '../../contract/plan.ts';
import { Database } from './database.ts';
import { isOfRun, readDatabases } from './notes.ts';
import { standingMigration } from './schema/migration-notes.ts';
import { listScripts } from './schema/script.ts';
import { latestOf, readVersions, versionsOf } from './schema/versions.ts';

/**
 * Whether the run has begun to change the database, and not taken that back: a copy that it fills or
 * has swapped in, or steps of the schema that nobody has gone on from. Notes stay when a run has ended,
 * so that older ones prove nothing: an approval is not for ever.
 */
export async function hasChangedDatabase(
  { settings }: LoadedSettings,
  { kind, target }: Pick<Change, 'kind' | 'target'>,
  run: RunIdentity,
): Promise<boolean> {
  const database = new Database(settings, target.namespace);
  if (kind !== 'schema/migration') {
    const { maintenance } = database.settings;
    const copies = await database.session(readDatabases, { database: maintenance });
    return copies.some(
      ({ note }) =>
        note?.of === target.name &&
        isOfRun(note, run) &&
        note.state !== 'undone' &&
        isRecent(note.at),
    );
  }
  const versions = versionsOf(database);
  return database.session(async (client) => {
    const note = await standingMigration(client, versions.table, run);
    if (note?.version === undefined || !isRecent(note.at)) return false;
    const files = await listScripts(versions.folder);
    return latestOf(await readVersions(client, versions, files)) === note.version;
  });
}

function isRecent(at: string): boolean {
  return Date.now() - Date.parse(at) < tokenLimits.executed * 1000;
}
