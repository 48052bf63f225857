import { execFile } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { serverAccount } from './postgres-account.ts';
import { findServers } from './setup/servers.mjs';

const run = promisify(execFile);

export interface RecoveryFolders {
  base: string;
  /** The server has one archive at a time: all base backups that are used at once go with it. */
  wal: string;
}

/** Makes the folders of base backups and of archived WAL, beside the dumps, for the server to write into. */
export function recoveryFolders(backups: string): RecoveryFolders {
  const account = serverAccount();
  const folders = { base: join(backups, 'base'), wal: join(backups, 'wal') };
  for (const folder of [backups, folders.base, folders.wal]) {
    mkdirSync(folder, { recursive: true });
    if (account) chownSync(folder, account.uid, account.gid);
  }
  return folders;
}

/**
 * Has the server archive its WAL from now on, and takes a base backup of it.
 * @returns the backup's folder
 */
export async function takeBaseBackup(
  url: string,
  { base, wal }: RecoveryFolders,
  format: 'plain' | 'tar' = 'plain',
): Promise<string> {
  await archiveWith(url, `test ! -f "${wal}/%f" && cp "%p" "${wal}/%f"`);
  const folder = join(base, new Date().toISOString().replace(/\.\d+/, '').replaceAll(':', '-'));
  const program = join(findServers()['postgres-folder'], 'pg_basebackup');
  const flags = [`--dbname=${url}`, `--pgdata=${folder}`, `--format=${format}`];
  await run(program, [...flags, '--checkpoint=fast', ...(format === 'tar' ? ['--gzip'] : [])], {
    // Files of the server are nobody else's.
    ...serverAccount(),
    cwd: '/',
  });
  return folder;
}

/** Has the server throw its WAL away again, as a sandbox's does until its first base backup. */
export function stopArchiving(url: string): Promise<void> {
  return archiveWith(url, 'true');
}

async function archiveWith(url: string, command: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`alter system set archive_command = ${pg.escapeLiteral(command)}`);
    await client.query('select pg_reload_conf()');
  } finally {
    await client.end();
  }
}
