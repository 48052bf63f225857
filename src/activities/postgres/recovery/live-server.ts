/** What a recovery asks of the live server: who and what it is, and its WAL. */
import type { Client } from 'pg';
import type { Progress } from '../../progress.ts';
import { isForbidden } from '../errors.ts';

const withinMs = 30_000;
const lookEveryMs = 250;

export interface LiveServer {
  /** Name of the superuser that every cluster has from its start. */
  user: string;
  segmentBytes: number;
  /** Such as 15. */
  major: number;
  now: Date;
}

export async function readServer(client: Client): Promise<LiveServer> {
  const { rows } = await client.query<LiveServer>(
    `select (select rolname from pg_roles where oid = 10) as user,
       pg_size_bytes(current_setting('wal_segment_size'))::int4 as "segmentBytes",
       current_setting('server_version_num')::int / 10000 as major, now()`,
  );
  const [server] = rows;
  if (!server) throw new Error('PostgreSQL answers no row to what it is.');
  return server;
}

/**
 * Has the live server archive what it has written up to now. Without a commit after the time that is
 * gone back to, recovery does not know that it has passed it; and a quiet server may keep the last
 * WAL for hours. Where the role may not, the archive is taken as it is.
 */
export async function archiveWal(client: Client, progress: Progress): Promise<void> {
  progress.report('Having the live server archive its WAL');
  // A transaction with a number leaves a commit in the WAL.
  await client.query('select txid_current()');
  let file: string | undefined;
  try {
    const { rows } = await client.query<{ file: string }>(
      'select pg_walfile_name(pg_switch_wal()) as file',
    );
    file = rows[0]?.file;
  } catch (error) {
    if (isForbidden(error)) return;
    throw error;
  }
  const giveUp = Date.now() + withinMs;
  while (Date.now() < giveUp && !progress.cancelled.aborted) {
    const { rows } = await client.query<{ isThere: boolean }>(
      `select current_setting('archive_mode') = 'off'
         or left(last_archived_wal, 24) >= $1 as "isThere" from pg_stat_archiver`,
      [file],
    );
    if (rows[0]?.isThere) return;
    await new Promise((resume) => setTimeout(resume, lookEveryMs));
  }
}
