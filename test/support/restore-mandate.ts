import { Database } from '../../src/activities/postgres/database.ts';
import { readArchive } from '../../src/activities/postgres/restore/archive.ts';
import type { RestoreMandate } from '../../src/activities/postgres/restore/restore-change.ts';
import type { Settings } from '../../src/config/schema.ts';

/** What an approved plan tells a worker to restore: a dump in the folder of the settings, into that copy. */
export async function restoreMandate(
  settings: Settings,
  key: string,
  dump: string,
  copy: string,
): Promise<RestoreMandate> {
  const database = new Database(settings, key);
  const { folder = '' } = database.settings.backups ?? {};
  const { backup, bytes, modifiedAt, contents } = await readArchive(folder, dump, undefined);
  return {
    ...{ undo: false, run: { workflowId: 'run', firstRunId: 'run' } },
    plan: { targets: [], changeHashes: [], digest: '' },
    authority: { seal: '', approvals: [] },
    change: {
      ...{ id: 'restore', kind: 'database/restore', before: { copy: null } },
      target: await database.session((client) => database.target(client)),
      after: { copy, backup, bytes, modifiedAt, contents, recoverTo: null },
    },
  };
}
