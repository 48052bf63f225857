import { execFile } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { recoveryFolders } from '../base-backup.ts';
import { serverAccount } from '../postgres-account.ts';
import type { Server } from '../server.ts';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';

const run = promisify(execFile);

/** The database that the sandbox's services use. */
export const databaseName = 'wakala';

/** The folder where database dumps go; PostgreSQL's own account may write there too. */
export function backupFolder(dir: string): string {
  return join(dir, 'backups');
}

/** PostgreSQL with a database for Wakala, open to everybody on this machine. */
export function postgres({ dir, ports, postgresFolder }: Sandbox, paths: ServerPaths): Server {
  const account = serverAccount();
  const data = join(postgresFolder, 'data');
  const program = (name: string) => join(paths['postgres-folder'], name);
  const connection = ['-X', '-h', '127.0.0.1', '-p', String(ports.postgres), '-U', 'postgres'];
  const psql = (sql: string) =>
    run(program('psql'), [...connection, '-d', 'postgres', '-At', '-c', sql], { timeout: 5000 });

  return {
    name: 'postgres',
    address: `postgres://postgres@127.0.0.1:${ports.postgres}/${databaseName}`,
    after: [],
    // Smart shutdown, which SIGTERM asks for, would wait until every client has gone.
    stopSignal: 'SIGINT',
    async command() {
      mkdirSync(postgresFolder, { recursive: true });
      if (account) chownSync(postgresFolder, account.uid, account.gid);
      recoveryFolders(backupFolder(dir));
      if (!existsSync(join(data, 'made'))) {
        // Without the mark at its end, an earlier initdb was cut off.
        rmSync(data, { recursive: true, force: true });
        const flags = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C'];
        await run(program('initdb'), [...flags, '--no-sync', '--pgdata', data], {
          cwd: postgresFolder,
          ...account,
        });
        // Thrown away until a base backup is taken, which sets another one.
        appendFileSync(join(data, 'postgresql.conf'), "archive_command = 'true'\n");
        mkdirSync(join(data, 'made'));
      }
      const settings = {
        listen_addresses: '127.0.0.1',
        port: String(ports.postgres),
        unix_socket_directories: '',
        // What a rollback of data must notice and name in its plan can then be made here:
        // change capture that reads a logical slot, and transactions prepared and left.
        wal_level: 'logical',
        max_prepared_transactions: '10',
        archive_mode: 'on',
      };
      const args = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
      return {
        file: program('postgres'),
        cwd: postgresFolder,
        args: ['-D', data, ...args],
        account,
      };
    },
    async isReady() {
      try {
        await psql('select 1');
        return true;
      } catch {
        return false;
      }
    },
    async finish() {
      const sql = `select 1 from pg_database where datname = '${databaseName}'`;
      const { stdout } = await psql(sql);
      if (stdout.trim() === '') await psql(`create database ${databaseName}`);
    },
  };
}
