import { execa } from 'execa';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { claimOwnPorts } from './ports.ts';
import { serverAccount } from './postgres-account.ts';
import { onPath } from './setup/run.mjs';

const readyWithinMs = 15_000;

/** PgBouncer in front of a PostgreSQL, in transaction mode, on a port of its own. */
export class PgBouncer {
  /** Not everywhere is there one; the set-up installs it on Debian. */
  static readonly isThere = onPath('pgbouncer') !== undefined;
  private readonly port: number;
  private readonly database: string;

  private constructor(port: number, database: string) {
    this.port = port;
    this.database = database;
  }

  /**
   * One that is yet to be started, whose addresses are known already.
   * @param database address of any database of the server; default: the sandbox's
   */
  static async reserve(database: string = process.env.DATABASE_URL ?? ''): Promise<PgBouncer> {
    const [port = 0] = await claimOwnPorts(1);
    return new PgBouncer(port, database);
  }

  /** Address of a database through it, or of its console, `pgbouncer`. */
  addressOf(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts it and waits until it answers; answers how to end it. */
  async start(): Promise<() => Promise<void>> {
    const folder = mkdtempSync(join(tmpdir(), 'rollback-pgbouncer-'));
    chmodSync(folder, 0o755);
    const { hostname, port } = new URL(this.database);
    const file = join(folder, 'pgbouncer.ini');
    writeFileSync(
      file,
      `[databases]
* = host=${hostname} port=${port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${this.port}
unix_socket_dir =
auth_type = any
admin_users = postgres
pool_mode = transaction
`,
    );
    const running = execa('pgbouncer', [file], { ...serverAccount(), reject: false });
    const stop = async () => {
      running.kill('SIGTERM');
      await running;
    };
    const giveUp = Date.now() + readyWithinMs;
    while (!(await this.answers())) {
      if (Date.now() > giveUp) {
        await stop();
        throw new Error(`PgBouncer does not answer: ${(await running).stderr}`);
      }
      await delay(50);
    }
    return stop;
  }

  private async answers(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.addressOf('pgbouncer') });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      return false;
    }
  }
}
