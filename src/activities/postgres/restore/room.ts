/** Room on the live server's disk: without any for its WAL, it goes down with all its databases. */
import { statfs } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { Client } from 'pg';
import { failureTypes } from '../../../contract/failures.ts';
import type { Progress } from '../../progress.ts';
import type { Database } from '../database.ts';
import { sizeOf } from '../notes.ts';

/** A fast disk takes a gigabyte a second. */
const lookEveryMs = 50;
/** Some segments of WAL, however small the database is. */
const leastReserve = 128e6;

export interface Room {
  /**
   * Folder of the server's data, where its WAL is, and the one of the database's tablespace; undefined
   * where the server is on another machine, or it is not for this role to know.
   */
  folders: { data: string; tablespace: string } | undefined;
  /** Bytes of the live database, and so of a copy. */
  bytes: number;
  /** Bytes for the WAL of making one. */
  reserve: number;
}

export async function readRoom(client: Client, name: string): Promise<Room> {
  const bytes = await sizeOf(client, name);
  const { rows } = await client.query<{ walBytes: number; isLocal: boolean }>(
    `select pg_size_bytes(current_setting('max_wal_size'))::float8 as "walBytes",
       coalesce(inet_server_addr() = inet_client_addr(), true) as "isLocal"`,
  );
  const { walBytes = 0, isLocal } = rows[0] ?? {};
  const reserve = Math.max(leastReserve, Math.min(bytes, walBytes));
  return { folders: isLocal ? await foldersOf(client, name) : undefined, bytes, reserve };
}

async function foldersOf(client: Client, name: string): Promise<Room['folders']> {
  try {
    const { rows } = await client.query<{ data: string; tablespace: string }>(
      `select current_setting('data_directory') as data,
         pg_tablespace_location(dattablespace) as tablespace
       from pg_database where datname = $1`,
      [name],
    );
    const [found] = rows;
    if (!found) return undefined;
    // The server's own have no place of theirs.
    const folders = { data: found.data, tablespace: found.tablespace || found.data };
    // In a container of its own, they are not there.
    await Promise.all(Object.values(folders).map((folder) => statfs(folder)));
    return folders;
  } catch {
    return undefined;
  }
}

/** Free bytes of the disk that a folder is on. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/**
 * Does `work`, and ends it where the live server's disk is filling up: by its own copy or by others.
 * @throws RejectedBySystem then, with what to do.
 */
export async function whileThereIsRoom<T>(
  database: Database,
  progress: Progress,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  const { folders, reserve } = await database.session((client) => readRoom(client, database.name));
  if (!folders) return work(progress);
  const full = new AbortController();
  const look = async () => {
    const free = Math.min(...(await Promise.all(Object.values(folders).map(freeBytes))));
    if (free < reserve / 2) full.abort(diskIsFull(database, free));
  };
  // Where it cannot be told, the server itself says so.
  const timer = setInterval(() => void look().catch(() => undefined), lookEveryMs);
  try {
    return await work({
      ...progress,
      cancelled: AbortSignal.any([progress.cancelled, full.signal]),
    });
  } finally {
    clearInterval(timer);
  }
}

function diskIsFull({ name, address }: Database, free: number): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `The disk of ${address} has ${Math.floor(free / 1e6)} MB left, so that the restore was ended before the server would go down, and its copy dropped. ${name} was not touched: make room, then try again.`,
    failureTypes.rejectedBySystem,
  );
}
