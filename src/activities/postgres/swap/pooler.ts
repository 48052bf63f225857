/** PgBouncer in front of a database: its clients wait while it is paused, instead of failing. */
import pg from 'pg';
import type { DatabaseSettings } from '../../../config/databases.ts';
import { DatabaseUnreachable } from '../errors.ts';
import { identifier } from '../database.ts';

/**
 * Does `work` while the pooler is paused, where there is one. Transactions get `pauseWithin` to end by
 * themselves; those that do not are ended by what `work` does. The pooler is resumed in any case, and
 * an earlier attempt's pause with it.
 * @throws DatabaseUnreachable where the pooler does not answer; nothing was done then.
 */
export async function whilePaused<T>(
  pooler: DatabaseSettings['pooler'],
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  if (!pooler) return work();
  const database = identifier(pooler.database ?? name);
  const console = await connect(pooler.url);
  try {
    const paused = ask(console, `PAUSE ${database}`, /already (paused|suspended)/);
    const late = new Promise((resolve) => setTimeout(resolve, pooler.pauseWithin).unref());
    await Promise.race([paused, late]);
    return await work();
  } finally {
    // By another connection: this one still waits where a pause has not come about.
    await resume(pooler, name);
    await console.end().catch(() => undefined);
  }
}

/** Lets the pooler go on, also where an earlier attempt was killed before it did. */
export async function resume(pooler: DatabaseSettings['pooler'], name: string): Promise<void> {
  if (!pooler) return;
  const console = await connect(pooler.url);
  try {
    await ask(console, `RESUME ${identifier(pooler.database ?? name)}`, /not paused/);
  } finally {
    await console.end().catch(() => undefined);
  }
}

/** Gives a command, for which an earlier attempt's having given it is no error. */
async function ask(console: pg.Client, command: string, isAlready: RegExp): Promise<void> {
  try {
    await console.query(command);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !isAlready.test(error.message)) throw error;
  }
}

/** The console knows no settings of a session, so that none may be sent. */
async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DatabaseUnreachable(
      `PgBouncer at ${client.host}:${client.port} does not answer: ${why}.`,
    );
  }
}
