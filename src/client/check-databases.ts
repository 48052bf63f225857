/** What `rollback doctor` looks at of databases. */
import { Database } from '../activities/postgres/database.ts';
import { readPooler, resumeCommand } from '../activities/postgres/swap/pooler.ts';
import type { LoadedSettings } from '../config/settings.ts';
import { quote } from './commands/shell.ts';
import { CliError } from './errors.ts';
import { type Finding, look } from './findings.ts';

/** Whether each PgBouncer can be paused for a swap, and is not paused still. */
export async function checkDatabases(
  findings: Finding[],
  { settings }: LoadedSettings,
): Promise<void> {
  for (const [key, { pooler }] of Object.entries(settings.databases)) {
    if (!pooler) continue;
    await look(findings, 'pgbouncer', async () => {
      const database = new Database(settings, key);
      const state = await readPooler(database);
      const { address = '', isPaused, blockers = [], warnings = [] } = state ?? {};
      if (blockers.length > 0) throw new CliError(blockers.join(' '));
      if (isPaused) {
        const [psql = '', url = '', resume = ''] = resumeCommand(database);
        throw new CliError(
          `${address} holds all clients of ${database.name}, as it does while a run swaps databases: where none does so, run ${quote(psql)} -X -d ${quote(url)} -c ${quote(resume)}`,
        );
      }
      return [true, [`${key}: ${address}`, ...warnings].join('; ')];
    });
  }
}
