/** What `rollback doctor` looks at of databases. */
import { Database } from '../../activities/postgres/database.ts';
import { readPooler, resumeCommand } from '../../activities/postgres/swap/pooler.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { isWorkersMachine } from './authority.ts';
import { checkBackups } from './backups.ts';
import { quote } from '../commands/shell.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';

/**
 * Whether each database lets in whoever has its address, its backups and scripts are there, and its
 * PgBouncer can be paused for a swap, and is not paused still.
 */
export async function checkDatabases(findings: Finding[], loaded: LoadedSettings): Promise<void> {
  const isElsewhere = !isWorkersMachine(loaded);
  await Promise.all(
    Object.keys(loaded.settings.databases).map(async (key) => {
      let database: Database;
      try {
        database = new Database(loaded.settings, key);
      } catch (error) {
        await look(findings, 'database', () => Promise.reject(error as Error));
        return;
      }
      await Promise.all([
        checkLogin(findings, database, isElsewhere),
        checkBackups(findings, database, isElsewhere),
        checkPooler(findings, database, isElsewhere),
      ]);
    }),
  );
}

async function checkLogin(
  findings: Finding[],
  database: Database,
  isElsewhere: boolean,
): Promise<void> {
  const { key, name, address, settings } = database;
  // Swaps are made from there.
  const others = settings.backups ? [settings.maintenance] : [];
  for (const one of [name, ...others]) {
    const place = one === name ? `databases.${key}.url` : `databases.${key}.maintenance`;
    const reached = await look(
      findings,
      'database',
      () =>
        database.session(
          async (client) => {
            const { rows } = await client.query<{ server_version: string }>('show server_version');
            return [true, `${key}: ${one} at ${address}, PostgreSQL ${rows[0]?.server_version}`];
          },
          { database: one },
        ),
      { isElsewhere, remedy: `Look there, or correct ${place} (${one} at ${address}).` },
    );
    if (!reached) return;
  }
}

async function checkPooler(
  findings: Finding[],
  database: Database,
  isElsewhere: boolean,
): Promise<void> {
  const { key, name, settings } = database;
  if (!settings.pooler) return;
  await look(
    findings,
    'pgbouncer',
    async () => {
      const state = await readPooler(database);
      const { address = '', isPaused, blockers = [], warnings = [] } = state ?? {};
      if (blockers.length > 0) throw new CliError(blockers.join(' '));
      if (isPaused) {
        const [psql = '', url = '', resume = ''] = resumeCommand(database);
        throw new CliError(
          `${address} holds all clients of ${name}, as it does while a run swaps databases: where none does so, run ${quote(psql)} -X -d ${quote(url)} -c ${quote(resume)}`,
        );
      }
      return [true, [`${key}: ${address}`, ...warnings].join('; ')];
    },
    { isElsewhere },
  );
}
