import { execa, type ResultPromise } from 'execa';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { parse, stringify } from 'yaml';
import { connectTemporal } from '../../src/client/temporal.ts';
import type { RunStatus } from '../../src/contract/run.ts';
import { PgBouncer } from '../pgbouncer.ts';
import { up } from '../sandbox.ts';
import { repository } from '../setup/folders.mjs';
import { status } from '../status.ts';
import { median, timed, type Row } from './row.ts';

const clients = 20;
/** A client asks so often, as a service under load does. */
const pauseMs = 5;
const tables = 4;
const jobs = 4;
const gigabyte = 2 ** 30;

/**
 * R12: the longest that any of 20 clients goes without an answer while the databases are swapped,
 * directly and through PgBouncer, and the restore of 1 GB in several tables against pg_restore alone.
 */
export async function* benchDatabase(rounds: number, dir: string): AsyncGenerator<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'rollback-bench-backups-'));
  const pooler = await PgBouncer.reserve();
  const stopPooler = PgBouncer.isThere ? await pooler.start() : undefined;
  const pooled = (name: string) => pooler.addressOf(name);
  const of = (name: string) => ({ url: addressOf(name), backups: { folder, jobs } });
  const worker = await startWorker(dir, {
    direct: of('bench_direct'),
    ...(stopPooler
      ? { pooled: { ...of('bench_pooled'), pooler: { url: pooled('pgbouncer') } } }
      : {}),
    large: of('bench_large'),
  });
  const parts = { rounds, folder, env: worker.env, pid: worker.pid };
  try {
    yield await benchSwap(parts, { name: 'direct', asked: 250, address: addressOf });
    if (stopPooler) yield await benchSwap(parts, { name: 'pooled', asked: 400, address: pooled });
    // As many in which ours is first as second.
    yield await benchRestore({ ...parts, rounds: 2 * Math.ceil(Math.min(rounds, 8) / 2) });
  } finally {
    worker.stop();
    await stopPooler?.();
    rmSync(folder, { recursive: true, force: true });
    await up({ dir, worker: true });
  }
}

interface Parts {
  rounds: number;
  folder: string;
  env: Env;
  /** Process of the worker. */
  pid: number;
}

async function benchSwap(
  { rounds, folder, env }: Parts,
  { name, asked, address }: { name: string; asked: number; address: (database: string) => string },
): Promise<Row> {
  const database = `bench_${name}`;
  await sql('postgres', `create database ${database}`);
  await sql(database, 'create table orders as select g as id from generate_series(1, 1000) g');
  await dump(database, folder);
  const worst: number[] = [];
  let errors = 0;
  for (let round = 1; round <= rounds; round++) {
    const asking = Array.from({ length: clients }, () => new Client(address(database)));
    await delay(1000);
    await restore(name, env);
    await delay(1000);
    await Promise.all(asking.map((client) => client.stop()));
    worst.push(Math.max(...asking.map(({ longestGapMs }) => longestGapMs)));
    errors += asking.reduce((sum, client) => sum + client.errors, 0);
  }
  return {
    what: `Longest gap of any of ${clients} clients while databases are swapped, ${name}`,
    figure: Math.round(median(worst)),
    unit: 'ms',
    asked,
    details: `worst of ${rounds} rounds ${Math.round(Math.max(...worst))} ms, ${errors} sessions ended in all`,
  };
}

async function benchRestore({ rounds, folder, env, pid }: Parts): Promise<Row> {
  const name = 'bench_large';
  await sql('postgres', `create database ${name}`);
  const rows = Math.round(gigabyte / tables / 1100);
  await Promise.all(
    Array.from({ length: tables }, (_, index) =>
      sql(
        name,
        `create table t${index} (id int primary key, at timestamptz default now(), body text);
         insert into t${index} select g, now(), repeat(md5(g::text), 32) from generate_series(1, ${rows}) g;
         create index on t${index} (at)`,
      ),
    ),
  );
  // Otherwise autovacuum comes for it in some of the rounds.
  await sql(name, 'vacuum analyze');
  const archive = await dump(name, folder);
  const plain = async () => {
    const flags = [`--dbname=${addressOf('bench_plain')}`, `--jobs=${jobs}`, '--exit-on-error'];
    const ms = await timed(async () => {
      await sql('postgres', 'create database bench_plain template template0');
      await execa('pg_restore', [...flags, archive]);
    });
    await sql('postgres', 'drop database bench_plain');
    return ms;
  };
  const ours = async () => {
    const { steps } = await restore('large', env, '--restore-only');
    const [step] = steps;
    for (const { datname } of await sql(
      'postgres',
      `select datname from pg_database where datname like '${name}\\_restore\\_%'`,
    )) {
      await sql('postgres', `drop database "${String(datname)}"`);
    }
    return Date.parse(step?.endedAt ?? '') - Date.parse(step?.startedAt ?? '');
  };
  const times: { ours: number; plain: number }[] = [];
  const memory = new PeakMemory(pid);
  for (let round = 1; round <= rounds; round++) {
    const took = { ours: 0, plain: 0 };
    // In turn: what comes second meets the disk with the first one's writes.
    const inTurn = round % 2 === 1 ? (['plain', 'ours'] as const) : (['ours', 'plain'] as const);
    for (const who of inTurn) {
      await sql('postgres', 'checkpoint');
      took[who] = await (who === 'ours' ? ours() : plain());
    }
    times.push(took);
  }
  await sql('postgres', `drop database ${name}`);
  return {
    what: `Restore of 1 GB in ${tables} tables, against CREATE DATABASE and pg_restore --jobs=${jobs}`,
    figure: Number(median(times.map((took) => took.ours / took.plain)).toFixed(3)),
    unit: 'x',
    asked: 1.05,
    details: `ours ${Math.round(median(times.map((took) => took.ours)))} ms, pg_restore ${Math.round(median(times.map((took) => took.plain)))} ms; ${memory.text()}`,
  };
}

/** Memory of a process, as Linux tells it (proc(5)). */
class PeakMemory {
  private readonly pid: number;
  private readonly beforeMb: number;

  constructor(pid: number) {
    this.pid = pid;
    this.beforeMb = this.megabytes('VmRSS');
    // Forgets the peak up to now.
    if (this.beforeMb > 0) writeFileSync(`/proc/${pid}/clear_refs`, '5');
  }

  text(): string {
    if (this.beforeMb === 0) return "the worker's memory cannot be told here";
    return `the worker's memory ${this.beforeMb} MB before, at most ${this.megabytes('VmHWM')} MB`;
  }

  private megabytes(name: string): number {
    const file = `/proc/${this.pid}/status`;
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const [, kilobytes = '0'] = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text) ?? [];
    return Math.round(Number(kilobytes) / 1024);
  }
}

/** A client that asks all the time, and connects again where its session was ended. */
class Client {
  longestGapMs = 0;
  errors = 0;
  private readonly connectionString: string;
  private isStopped = false;
  private lastAt = performance.now();
  private readonly running: Promise<void>;

  constructor(connectionString: string) {
    this.connectionString = connectionString;
    this.running = this.ask();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async ask(): Promise<void> {
    let hasBegun = false;
    while (!this.isStopped) {
      const client = new pg.Client({ connectionString: this.connectionString });
      client.on('error', () => undefined);
      try {
        await client.connect();
        while (!this.isStopped) {
          await client.query('select count(*) from orders');
          const now = performance.now();
          if (hasBegun) this.longestGapMs = Math.max(this.longestGapMs, now - this.lastAt);
          [this.lastAt, hasBegun] = [now, true];
          await delay(pauseMs);
        }
      } catch {
        this.errors += 1;
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }
}

/** Restores the newest backup of a database as a person does, approved by a lead; answers the run. */
async function restore(database: string, env: Env, ...flags: string[]): Promise<RunStatus> {
  const rollback = async (...args: string[]) =>
    JSON.parse((await execa('rollback', [...args, '--json'], { env })).stdout) as unknown;
  const start = ['database', database, '--to', new Date().toISOString(), '--detach', ...flags];
  const { workflowId } = (await rollback(...start)) as { workflowId: string };
  const look = async () => (await rollback('status', workflowId)) as RunStatus;
  while ((await look()).phase !== 'awaiting-approval') await delay(100);
  const key = join(process.env.ROLLBACK_KEYS ?? '', 'team-lead.jwk');
  await rollback('approve', workflowId, '--key', key, '--yes');
  // Not by `rollback watch`, which has a machine of its own where rollbacks are not measured.
  const temporal = connectTemporal();
  try {
    return (await temporal.client.workflow.getHandle(workflowId).result()) as RunStatus;
  } finally {
    await temporal.close();
  }
}

type Env = Record<string, string>;

interface BenchWorker {
  env: Env;
  pid: number;
  stop(): void;
}

/** A worker with these databases in its settings in place of the sandbox's. */
async function startWorker(dir: string, databases: object): Promise<BenchWorker> {
  process.kill(status(dir).find(({ name }) => name === 'worker')?.pid ?? 0, 'SIGKILL');
  const shipped = readFileSync(join(repository, 'rollback.yaml'), 'utf8');
  const file = join(mkdtempSync(join(tmpdir(), 'rollback-bench-')), 'rollback.yaml');
  writeFileSync(file, stringify({ ...(parse(shipped) as object), services: {}, databases }));
  const env = { ROLLBACK_CONFIG: file };
  const options = { env, reject: false, buffer: false } as const;
  const worker = execa(join(repository, 'bin', 'worker'), options);
  await untilReady(worker);
  return { env, pid: worker.pid ?? 0, stop: () => worker.kill('SIGKILL') };
}

/** Reads on afterwards, since a full pipe would hold the worker up. */
async function untilReady(worker: ResultPromise): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const output of [worker.stdout, worker.stderr]) {
      output?.on('data', (data: Buffer) => {
        if (data.toString().includes('worker is ready')) resolve();
      });
    }
  });
}

function addressOf(database: string): string {
  const url = new URL(process.env.DATABASE_URL ?? '');
  url.pathname = `/${database}`;
  return url.href;
}

async function sql(database: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: addressOf(database) });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Dumps a database under the name that says when, and answers the path. */
async function dump(name: string, folder: string): Promise<string> {
  const time = new Date().toISOString().replace(/\.\d+/, '').replaceAll(':', '-');
  const file = join(folder, `${name}_${time}.dump`);
  await execa('pg_dump', ['--format=custom', `--file=${file}`, `--dbname=${addressOf(name)}`]);
  return file;
}
