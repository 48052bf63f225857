import pg from 'pg';
import { connectionOf } from './address.ts';
import { applicationName } from './database.ts';

/** How many more connections ordinary users may open on the server of `url`, within two seconds. */
export async function freeConnections(url: string): Promise<number> {
  const client = new pg.Client({
    ...connectionOf(url),
    connectionTimeoutMillis: 2000,
    query_timeout: 2000,
    application_name: applicationName,
  });
  // A connection that breaks after the answer must not end the worker.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await countFreeConnections(client);
  } finally {
    await client.end();
  }
}

export async function countFreeConnections(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ free: number }>(
    `select current_setting('max_connections')::int
          - current_setting('superuser_reserved_connections')::int
          - (select count(*) from pg_stat_activity where backend_type = 'client backend' or backend_type is null)::int
          as free`,
  );
  return rows[0]?.free ?? 0;
}
