import { execa } from 'execa';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { claimOwnPorts } from '../../sandbox/ports.ts';
import { serverAccount } from '../../sandbox/postgres-account.ts';
import { findServers } from '../../sandbox/setup/servers.mjs';
import { eventually } from './eventually.ts';

/** A PostgreSQL server of a test file's own, for what would disturb the others. */
export class OwnPostgres {
  readonly port: number;
  private server: ReturnType<typeof launch> | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** One that is yet to be started, whose address is known already. */
  static async reserve(): Promise<OwnPostgres> {
    const [port = 0] = await claimOwnPorts(1);
    return new OwnPostgres(port);
  }

  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** @param folder for its files, which PostgreSQL's own account can reach */
  async start(folder: string, parameters: Record<string, string> = {}): Promise<void> {
    const account = serverAccount();
    mkdirSync(folder, { recursive: true });
    if (account) chownSync(folder, account.uid, account.gid);
    const data = join(folder, 'data');
    const flags = ['--no-sync', '--auth=trust', '--username=postgres', '--pgdata', data];
    await execa(program('initdb'), flags, { cwd: '/', ...account });
    const own = { port: String(this.port), listen_addresses: '127.0.0.1', fsync: 'off' };
    const all = { ...own, unix_socket_directories: '', ...parameters };
    const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.server = launch(['-D', data, ...args]);
    await eventually('the server answers', async () => {
      const client = new pg.Client({ connectionString: this.url('postgres') });
      client.on('error', () => undefined);
      const isThere = await client.connect().then(
        () => true,
        () => false,
      );
      await client.end().catch(() => undefined);
      return isThere;
    });
  }

  async stop(): Promise<void> {
    this.server?.kill('SIGQUIT');
    await this.server;
  }
}

function program(name: string): string {
  return join(findServers()['postgres-folder'], name);
}

function launch(args: string[]) {
  return execa(program('postgres'), args, { cwd: '/', reject: false, ...serverAccount() });
}
