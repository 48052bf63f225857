/** What runs have noted on a server: the one trace that nobody can make who may only write to Temporal. */
import type { LoadedSettings } from '../../config/settings.ts';
import type { RunIdentity, Target } from '../../contract/plan.ts';
import { Database } from './database.ts';
import { isOfRun, readDatabases } from './notes.ts';
import { hasMigrated } from './schema/migration-notes.ts';
import { versionsOf } from './schema/versions.ts';

/**
 * Whether the run has begun to change the database, and not taken that back: a copy that it fills or
 * has swapped in, or a step of the schema.
 */
export async function hasChangedDatabase(
  { settings }: LoadedSettings,
  { namespace, name }: Target,
  run: RunIdentity,
): Promise<boolean> {
  const database = new Database(settings, namespace);
  const { maintenance, schema } = database.settings;
  const copies = await database.session(readDatabases, { database: maintenance });
  const own = copies.filter(({ note }) => note?.of === name && isOfRun(note, run));
  if (own.some(({ note }) => note?.state !== 'undone')) return true;
  if (!schema) return false;
  const { table } = versionsOf(database);
  return database.session((client) => hasMigrated(client, table, run));
}
