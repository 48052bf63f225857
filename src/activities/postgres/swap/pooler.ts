/** PgBouncer in front of a database: its clients wait while it is paused, instead of failing. */
import { ApplicationFailure } from '@temporalio/common';
import pg from 'pg';
import { failureTypes } from '../../../contract/failures.ts';
import { printable } from '../../../contract/printable.ts';
import { connectionOf, programAddress } from '../address.ts';
import { type Database, identifier } from '../database.ts';
import { DatabaseUnreachable } from '../errors.ts';
import { startKeeper } from '../keeper.ts';
import { programPath } from '../run-program.ts';

const answerWithinMs = 5000;
/** What PgBouncer says when it has no room or is on its way down: trying again helps. */
const awayPattern = /shutting down|no more connections|too many/i;
/**
 * Lives as long as the worker holds its standard input. A worker that is killed while its pooler is paused
 * resumes nothing any more, and no other may be allowed to go on with the run.
 */
const keeperScript = `
cat >/dev/null
for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
  said=$("$1" -X -d "$2" -c "$3" 2>&1) && exit
  case $said in *"not paused"*|*"no such database"*) exit;; esac
  sleep 5
done`;

/** How a pooler stands, as its console tells (PgBouncer, SHOW DATABASES). */
export interface PoolerState {
  /** `host:port` */
  address: string;
  isPaused: boolean;
  /** What keeps it from being paused, a sentence each with what to do about it. */
  blockers: string[];
  /** What a swap does to it. */
  differences: string[];
  warnings: string[];
}

/**
 * Looks at the pooler of a database, where there is one.
 * @throws DatabaseUnreachable where it does not answer.
 * @throws RejectedBySystem where it does not let the account of its address in.
 */
export async function readPooler(database: Database): Promise<PoolerState | undefined> {
  const { pooler } = database.settings;
  if (!pooler) return undefined;
  return withConsole(database, async (console) => {
    const name = pooledName(database);
    const setting = `databases.${database.key}.pooler`;
    const all = await console.ask<{
      name: string;
      database: string;
      pool_mode: string | null;
      paused: string;
    }>('show databases');
    const config = await console.ask<{ key: string; value: string }>('show config');
    const found = all.find((one) => one.name === name);
    const others = all.filter((one) => one.database === database.name && one.name !== name);
    const isAdmin = await isForAdmin(console);
    const mode = found?.pool_mode ?? config.find(({ key }) => key === 'pool_mode')?.value;
    const at = `PgBouncer at ${console.address}`;
    return {
      ...{ address: console.address, isPaused: Number(found?.paused) === 1 },
      blockers: [
        ...(isAdmin
          ? []
          : [
              `${at} does not let the account of ${setting}.url pause it: name one of its admin_users.`,
            ]),
        ...(!found && others.length > 0
          ? [
              `${at} has no ${name}, and calls this database ${others.map((one) => one.name).join(', ')}: name that in ${setting}.database.`,
            ]
          : []),
      ],
      differences: [
        `pauses: ${printable(name)} of ${at} while the databases are swapped; its clients wait`,
      ],
      warnings: [
        ...(!found && others.length === 0
          ? [
              `${at} has no ${name} at this time: it has one as soon as a client connects, where its settings have a database *; otherwise name the right one in ${setting}.database.`,
            ]
          : []),
        ...(mode === 'session'
          ? [
              `${at} has ${name} in pool_mode session, where a client keeps its connection: those that do not leave within ${setting}.pauseWithin are cut off, and not only held.`,
            ]
          : []),
      ],
    };
  });
}

/** Nobody has a database of this name, but only an administrator is told so. */
async function isForAdmin(console: Console): Promise<boolean> {
  try {
    await console.ask(`resume "nobody's"`, /no such database/);
    return true;
  } catch (error) {
    if (error instanceof ApplicationFailure) return false;
    throw error;
  }
}

/**
 * Does `work` while the pooler is paused, where there is one. Transactions get `pauseWithin` to end by
 * themselves; those that do not are ended by what `work` does. The pooler is resumed in any case, also
 * where the worker is killed, and an earlier attempt's pause with it.
 * @throws DatabaseUnreachable, RejectedBySystem where the pooler does not answer, or refuses; nothing
 *   was done then.
 */
export async function whilePaused<T>(database: Database, work: () => Promise<T>): Promise<T> {
  const { pooler } = database.settings;
  if (!pooler) return work();
  return withConsole(database, async (console) => {
    const keeper = keeperOf(database);
    try {
      const pause = `pause ${identifier(pooledName(database))}`;
      // A pause takes as long as the transactions under way.
      const paused = console.ask(pause, /already (paused|suspended)/, 0);
      const late = new Promise((resolve) => setTimeout(resolve, pooler.pauseWithin).unref());
      await Promise.race([paused, late]);
      return await work();
    } finally {
      // By another connection: this one still waits where a pause has not come about. Without an answer
      // it stays with the keeper.
      await resume(database).then(
        () => keeper.kill('SIGKILL'),
        (error: unknown) => {
          keeper.stdin.end();
          throw error;
        },
      );
    }
  });
}

/** Lets the pooler go on, also where an earlier attempt was killed before it did. */
export async function resume(database: Database): Promise<void> {
  if (!database.settings.pooler) return;
  await withConsole(database, (console) =>
    console.ask(`resume ${identifier(pooledName(database))}`, /not paused|no such database/),
  );
}

/** The command that lets the pooler go on, by hand; without the password. */
export function resumeCommand(database: Database): string[] {
  const { pooler, backups } = database.settings;
  const { url } = programAddress(pooler?.url ?? '');
  const resuming = `resume ${identifier(pooledName(database))}`;
  return [programPath('psql', backups?.programs), url.href, resuming];
}

function keeperOf(database: Database) {
  const { env } = programAddress(database.settings.pooler?.url ?? '');
  return startKeeper(keeperScript, resumeCommand(database), { ...env, PGCONNECT_TIMEOUT: '5' });
}

function pooledName({ name, settings }: Database): string {
  return settings.pooler?.database ?? name;
}

interface Console {
  address: string;
  /**
   * Gives a command.
   * @param isAlready error that is none: an earlier attempt has given the command
   * @param withinMs longest time to the answer; 0 for no limit
   */
  ask<Row extends pg.QueryResultRow>(
    command: string,
    isAlready?: RegExp,
    withinMs?: number,
  ): Promise<Row[]>;
}

/** The console knows no settings of a session, so that none may be sent. */
async function withConsole<T>(
  { key, settings: { pooler } }: Database,
  work: (console: Console) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...connectionOf(pooler?.url ?? ''),
    connectionTimeoutMillis: answerWithinMs,
  });
  client.on('error', () => undefined);
  const address = `${client.host}:${client.port}`;
  const failed = (error: unknown): Error => {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof pg.DatabaseError && !awayPattern.test(why)) {
      return ApplicationFailure.nonRetryable(
        `PgBouncer at ${address} answers: ${why}. See databases.${key}.pooler in the settings, then try again.`,
        failureTypes.rejectedBySystem,
      );
    }
    return new DatabaseUnreachable(`PgBouncer at ${address} does not answer: ${why}.`);
  };
  try {
    await client.connect();
  } catch (error) {
    throw failed(error);
  }
  try {
    return await work({
      address,
      ask: async <Row extends pg.QueryResultRow>(
        command: string,
        isAlready?: RegExp,
        withinMs = answerWithinMs,
      ) => {
        try {
          const query = { text: command, ...(withinMs > 0 ? { query_timeout: withinMs } : {}) };
          return (await client.query<Row>(query)).rows;
        } catch (error) {
          if (error instanceof pg.DatabaseError && isAlready?.test(error.message)) return [];
          throw failed(error);
        }
      },
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}
