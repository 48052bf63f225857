/** Servers of one lane's own: Temporal, and where a scenario has databases, PostgreSQL and PgBouncer. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execaSync } from 'execa';
import { PgBouncer } from '../pgbouncer.ts';
import { down, status, up } from '../sandbox.ts';
import type { Part } from '../servers/all.ts';
import { startOf } from '../setup/process-identity.mjs';
import type { Addresses } from './wires.ts';

const lookEveryMs = 5;
/** A server that was killed is tried to be started for so long. */
const startsWithinMs = 60_000;
const parts: readonly Part[] = ['temporal', 'kubernetes', 'postgres', 'redis', 'wakala'];

export class LaneServers {
  /** Their folder, which has room for more. */
  readonly dir: string;
  readonly addresses: Addresses;
  private readonly running: Part[];
  private readonly pooler: PgBouncer;
  private stopPooler: (() => Promise<void>) | undefined;

  private constructor(dir: string, addresses: Addresses, pooler: PgBouncer) {
    this.dir = dir;
    this.addresses = addresses;
    this.running = ['temporal'];
    this.pooler = pooler;
  }

  /** Starts Temporal; the addresses of the others are known. */
  static async start(): Promise<LaneServers> {
    const dir = mkdtempSync(join(tmpdir(), 'rollback-lane-'));
    // PostgreSQL's own account must reach its data there.
    chmodSync(dir, 0o755);
    try {
      const { TEMPORAL_ADDRESS, DATABASE_URL, BACKUP_DIR } = await up({
        dir,
        without: allBut(['temporal']),
      });
      const pooler = await PgBouncer.reserve(DATABASE_URL);
      const { REDIS_URL = '', WAKALA_URL = '' } = process.env;
      const own = { TEMPORAL_ADDRESS, DATABASE_URL, PGBOUNCER_URL: pooler.addressOf('pgbouncer') };
      return new LaneServers(dir, { ...own, BACKUP_DIR, REDIS_URL, WAKALA_URL }, pooler);
    } catch (error) {
      await down(dir);
      throw error;
    }
  }

  /** Starts PostgreSQL, and PgBouncer where there is one, unless they run. */
  async startDatabase(): Promise<void> {
    if (this.running.includes('postgres')) return;
    await up({ dir: this.dir, without: allBut(['temporal', 'postgres']) });
    this.running.push('postgres');
    if (PgBouncer.isThere) this.stopPooler = await this.pooler.start();
  }

  /** Ends a server with all its processes at once, and starts it again on its data. */
  async restart(name: 'temporal' | 'postgres', awayMs: number): Promise<void> {
    const server = status(this.dir).find((one) => one.name === name);
    if (!server) throw new Error(`The lane has no ${name}.`);
    // Each of PostgreSQL's processes leads a group of its own, and none may be added meanwhile.
    process.kill(server.pid, 'SIGSTOP');
    const { stdout } = execaSync('pgrep', ['-P', String(server.pid)], { reject: false });
    const all = [server.pid, ...stdout.split('\n').filter(Boolean).map(Number)];
    for (const pid of all) killIfThere(pid);
    // As long as one of them is there, so is their shared memory, and no other server may start.
    while (all.some((pid) => startOf(pid) !== undefined)) await delay(lookEveryMs);
    await delay(awayMs);
    // As a supervisor does: a start may be refused while anything of the killed one is left.
    for (const giveUp = Date.now() + startsWithinMs; ;) {
      try {
        await up({ dir: this.dir, without: allBut(this.running) });
        return;
      } catch (error) {
        if (Date.now() > giveUp) throw error;
        await delay(lookEveryMs);
      }
    }
  }

  async stop(): Promise<void> {
    await this.stopPooler?.();
    await down(this.dir);
  }
}

function allBut(running: readonly Part[]): Part[] {
  return parts.filter((part) => !running.includes(part));
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone with its parent.
  }
}
