import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { once } from 'node:events';
import pg from 'pg';
import { PgBouncer } from '../sandbox/pgbouncer.ts';
import { Database, identifier } from '../src/activities/postgres/database.ts';
import { noteSql, readDatabases } from '../src/activities/postgres/notes.ts';
import type { SwapMandate } from '../src/activities/postgres/restore/restore-change.ts';
import { whilePaused } from '../src/activities/postgres/swap/pooler.ts';
import { tryToRename } from '../src/activities/postgres/swap/rename-databases.ts';
import { swapDatabases } from '../src/activities/postgres/swap/swap-databases.ts';
import { checkDatabases } from '../src/client/doctor/databases.ts';
import type { Finding } from '../src/client/doctor/findings.ts';
import { loadSettings } from '../src/config/settings.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentProgress } from './support/silent-progress.ts';

const databases = new TestDatabases();
const shop = databases.nameOf('shop');
const pooled = databases.nameOf('pooled').replaceAll(' ', '_');
const pooler = await PgBouncer.reserve();
const withPooler = PgBouncer.isThere ? test : test.skip;
const backups = { folder: databases.folder, jobs: 2 };

const env = useRollbackEnvironment(
  {
    databases: {
      shop: { url: databases.url(shop), backups },
      strange: {
        url: databases.url(shop),
        backups,
        pooler: { url: pooler.addressOf('pgbouncer').replace('postgres@', 'nobody@') },
      },
      misnamed: {
        url: databases.url(shop),
        backups,
        pooler: { url: pooler.addressOf('pgbouncer'), database: 'nobodys' },
      },
      pooled: {
        url: databases.url(pooled),
        backups,
        pooler: { url: pooler.addressOf('pgbouncer'), pauseWithin: '1s' },
      },
    },
  },
  { procedure: 'database' },
);
let stopPooler: (() => Promise<void>) | undefined;
beforeAll(async () => {
  await Promise.all([shop, pooled].map((name) => databases.create(name)));
  await Promise.all([shop, pooled].map((name) => databases.dump(name, new Date('2025-01-10'))));
  if (PgBouncer.isThere) stopPooler = await pooler.start();
});
afterAll(async () => {
  await stopPooler?.();
  await databases.close();
});

/** A client that writes all the time, and connects again where its session was ended. */
class Writer {
  /** Ids of the rows that the server has acknowledged. */
  readonly acknowledged: number[] = [];
  readonly errors: string[] = [];
  private readonly connection: pg.ClientConfig;
  private isStopped = false;
  private next: number;
  private readonly running: Promise<void>;

  constructor(connection: pg.ClientConfig, first: number) {
    this.connection = connection;
    this.next = first;
    this.running = this.write();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async write(): Promise<void> {
    while (!this.isStopped) {
      const client = new pg.Client(this.connection);
      client.on('error', () => undefined);
      try {
        await client.connect();
        while (!this.isStopped) {
          const id = this.next++;
          await client.query(`insert into orders values ($1, 'x')`, [id]);
          this.acknowledged.push(id);
          await client.query('select count(*) from orders');
        }
      } catch (error) {
        this.errors.push((error as Error).message);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }
}

function startWriters(count: number, connection: pg.ClientConfig): Writer[] {
  return Array.from({ length: count }, (_, index) => new Writer(connection, (index + 1) * 100_000));
}

const direct = (database: string): pg.ClientConfig => {
  const { hostname: host, port } = new URL(process.env.DATABASE_URL ?? '');
  return { host, port: Number(port), user: 'postgres', database };
};

/** Starts an approved run about a database and answers its result. */
async function run(database: string) {
  const id = await env.startAs('on-call', { database, to: '2025-01-11' });
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'team-lead');
  return env.result(id);
}

const idsOf = async (database: string) =>
  new Set(
    (await databases.sql<{ id: number }>(database, 'select id from orders')).map(({ id }) => id),
  );
const oldOf = async (database: string) =>
  (await databases.names()).find((name) => name.startsWith(`${database}_old_`)) ?? '';
const untilAllWrite = (writers: Writer[]) =>
  eventually('every client has written', () => {
    const least = Math.min(...writers.map(({ acknowledged }) => acknowledged.length));
    return Promise.resolve(least > 5);
  });

async function untilAllWriteAgain(writers: Writer[]): Promise<void> {
  const seen = writers.map(({ acknowledged }) => acknowledged.length);
  await eventually('every client writes again', () =>
    Promise.resolve(
      writers.every(({ acknowledged }, index) => acknowledged.length > (seen[index] ?? 0) + 3),
    ),
  );
}

describe('while clients write all the time', () => {
  test('no write that was acknowledged is lost: it is in the old database or in the new one', async () => {
    const writers = startWriters(20, direct(shop));
    await untilAllWrite(writers);

    const result = await run('shop');

    expect(result.outcome).toBe('rolled-back');
    await untilAllWriteAgain(writers);
    await Promise.all(writers.map((writer) => writer.stop()));
    const [old, live] = [await idsOf(await oldOf(shop)), await idsOf(shop)];
    const lost = writers.flatMap(({ acknowledged }) =>
      acknowledged.filter((id) => !old.has(id) && !live.has(id)),
    );
    expect(lost).toEqual([]);
    expect(old.size).toBeGreaterThan(100);
    expect(live.size).toBeGreaterThan(20);
    // Sessions were ended once each, and new ones waited rather than fail again and again.
    expect(Math.max(...writers.map(({ errors }) => errors.length))).toBeLessThan(4);
  });

  withPooler('through PgBouncer no client sees an error', async () => {
    const writers = startWriters(20, { connectionString: pooler.addressOf(pooled) });
    await untilAllWrite(writers);

    const result = await run('pooled');

    expect(result.outcome).toBe('rolled-back');
    await untilAllWriteAgain(writers);
    await Promise.all(writers.map((writer) => writer.stop()));
    expect(writers.flatMap(({ errors }) => errors)).toEqual([]);
    const [old, live] = [await idsOf(await oldOf(pooled)), await idsOf(pooled)];
    const all = writers.flatMap(({ acknowledged }) => acknowledged);
    expect(all.filter((id) => !old.has(id) && !live.has(id))).toEqual([]);
  });

  withPooler(
    'a pooler whose worker was killed right after the swap is not left paused',
    async () => {
      const { plan, workflowId, runId } = await run('pooled');
      expect(plan?.differences.join('\n')).toMatch(
        new RegExp(`pauses: ${pooled} of PgBouncer at 127\\.0\\.0\\.1:\\d+ while`),
      );
      // PgBouncer does not show a database of its wildcard that nobody uses.
      const waits = new pg.Client({ connectionString: pooler.addressOf(pooled) });
      await waits.connect();
      await waits.query('select 1');
      const admin = new pg.Client({ connectionString: pooler.addressOf('pgbouncer') });
      await admin.connect();
      await admin.query(`PAUSE ${pooled}`);
      await admin.end();
      const answered = waits.query('select 1');
      const findings: Finding[] = [];
      await checkDatabases(findings, loadSettings(env.settingsFile));
      const told = findings.map(({ text }) => text).join('\n');

      // The attempt that comes after the killed one.
      const change = plan?.changes.find(({ id }) => id === 'swap');
      const mandate = { change, undo: false, run: { workflowId, firstRunId: runId } };
      const progress = silentProgress();
      const settings = loadSettings(env.settingsFile);
      const { text } = await swapDatabases(settings, mandate as SwapMandate, progress);

      expect(text).toContain('already swapped');
      expect((await answered).rowCount).toBe(1);
      await waits.end();
      expect(told).toContain(`holds all clients of ${pooled}`);
      expect(told).toContain(`-c 'resume "${pooled}"'`);
    },
  );

  withPooler(
    'a transaction that stays open is ended once its time in the pooler is over',
    async () => {
      const stays = new pg.Client({ connectionString: pooler.addressOf(pooled) });
      stays.on('error', () => undefined);
      await stays.connect();
      await stays.query('begin');
      await stays.query(`insert into orders values (9, 'never') on conflict do nothing`);

      const result = await run('pooled');

      expect(result.outcome).toBe('rolled-back');
      await expect(stays.query('commit')).rejects.toThrow();
      const after = new pg.Client({ connectionString: pooler.addressOf(pooled) });
      await after.connect();
      expect((await after.query('select 1')).rowCount).toBe(1);
      await after.end();
      await stays.end().catch(() => undefined);
    },
  );
});

describe('what cannot be ended', () => {
  const live = databases.nameOf('live');
  const copy = databases.nameOf('copy');
  const between = databases.nameOf('between');
  let worker: string;
  beforeAll(async () => {
    worker = await databases.role(
      'worker',
      'createdb in role pg_signal_backend, pg_read_all_stats',
    );
    await Promise.all([live, copy].map((name) => databases.create(name, 1)));
    const owned = [live, copy].map(
      (name) => `alter database ${identifier(name)} owner to ${worker}`,
    );
    await databases.sql('postgres', owned.join(';'));
  });

  /** Swaps as a role, and answers why that is not possible and how long the longest login took meanwhile. */
  async function refusalAs(role: string): Promise<{ why: string; longestMs: number }> {
    const [client, other] = await Promise.all([
      databases.connect('postgres', role),
      databases.connect('postgres', role),
    ]);
    const [incoming, found] = (await readDatabases(client))
      .filter(({ name }) => name === live || name === copy)
      .toSorted((one, two) => (one.name < two.name ? -1 : 1));
    if (!incoming || !found) throw new Error('There are no databases to swap.');
    const swap = {
      ...{ live: found, incoming, aside: databases.nameOf('aside'), between },
      incomingNote: undefined,
      outgoingNote: { workflowId: 'w', firstRunId: 'r', state: 'old', of: live, at: '' } as const,
    };
    const ended = tryToRename(client, other, swap).then(
      () => 'swapped',
      (error: Error) => error.message,
    );
    const end = { isThere: false };
    void ended.then(() => (end.isThere = true));
    let longestMs = 0;
    while (!end.isThere) {
      const begun = performance.now();
      await (await databases.connect(live)).end();
      longestMs = Math.max(longestMs, performance.now() - begun);
    }
    await Promise.all([client.end(), other.end()]);
    return { why: await ended, longestMs };
  }

  test('a superuser who is in the copy ends no session of the live database', async () => {
    const [superuser, client] = [await databases.connect(copy), await databases.connect(live)];

    const { why, longestMs } = await refusalAs(worker);

    expect(why).toContain(`Sessions of superuser postgres are open on ${copy}`);
    expect(longestMs).toBeLessThan(500);
    expect((await client.query('select 1')).rowCount).toBe(1);
    await Promise.all([superuser.end(), client.end()]);
    expect(await databases.names()).toEqual(expect.arrayContaining([live, copy]));
  });

  test('a lock that a session in another database holds is told with whose it is', async () => {
    const alters = await databases.connect('postgres');
    await alters.query(
      `set application_name = 'limits'; begin; alter database ${identifier(live)} connection limit 80`,
    );

    const { why } = await refusalAs(worker);

    const { processID } = alters as pg.Client & { processID: number };
    expect(why).toContain(
      `process ${processID} of postgres (limits) in database postgres holds a lock on it: end its transaction`,
    );
    await alters.end();
  });

  test('a transaction that was prepared after the plan keeps nobody waiting for three tries', async () => {
    await databases.sql(
      live,
      `begin; insert into orders values (50, 'x'); prepare transaction 'late'`,
    );

    const { why, longestMs } = await refusalAs('postgres');

    expect(why).toContain('Transaction late of postgres is prepared');
    expect(longestMs).toBeLessThan(1500);
    await databases.sql(live, `rollback prepared 'late'`);
    expect(await databases.names()).toEqual(expect.arrayContaining([live, copy]));
  });
});

test('a copy that was withdrawn after it was looked at does not become the live database', async () => {
  const [live, copy] = ['kept', 'withdrawn'].map((name) => databases.nameOf(name)) as [
    string,
    string,
  ];
  await Promise.all([live, copy].map((name) => databases.create(name, 1)));
  const [client, other] = [
    await databases.connect('postgres'),
    await databases.connect('postgres'),
  ];
  const all = await readDatabases(client);
  const [found, incoming] = [live, copy].map((name) => all.find((one) => one.name === name));
  if (!found || !incoming) throw new Error('There are no databases to swap.');
  const run = { workflowId: 'w', firstRunId: 'r' };
  const now = { ...run, of: live, at: new Date().toISOString() };
  // The run was aborted meanwhile.
  const withdrawn = { ...now, state: 'restored', withdrawn: run } as const;
  await databases.sql('postgres', noteSql(copy, undefined, withdrawn));

  const swapping = tryToRename(client, other, {
    ...{ live: found, incoming, aside: databases.nameOf('aside') },
    between: databases.nameOf('between'),
    ...{ incomingNote: { ...now, state: 'live' }, outgoingNote: { ...now, state: 'old' } },
  });

  await expect(swapping).rejects.toThrow('was changed meanwhile: nothing was swapped');
  const left = await readDatabases(client);
  expect(left.find(({ name }) => name === live)?.oid).toBe(found.oid);
  expect(left.find(({ name }) => name === copy)?.note?.state).toBe('restored');
  await Promise.all([client.end(), other.end()]);
});

describe('PgBouncer', () => {
  withPooler('is let go on where what was to be done while it is paused fails', async () => {
    const client = new pg.Client({
      ...{ connectionString: pooler.addressOf(pooled), query_timeout: 10_000 },
    });
    await client.connect();
    await client.query('select 1');
    const database = new Database(loadSettings(env.settingsFile).settings, 'pooled');

    const failing = whilePaused(database, () => Promise.reject(new Error('It is in the way.')));

    await expect(failing).rejects.toThrow('It is in the way.');
    expect((await client.query('select 1')).rowCount).toBe(1);
    await client.end();
  });

  withPooler('is let go on when the worker is killed while it is paused', async () => {
    const from = (path: string) => JSON.stringify(new URL(`../src/${path}`, import.meta.url).href);
    const script = `
      const { loadSettings } = await import(${from('config/settings.ts')});
      const { Database } = await import(${from('activities/postgres/database.ts')});
      const { whilePaused } = await import(${from('activities/postgres/swap/pooler.ts')});
      const { settings } = loadSettings(${JSON.stringify(env.settingsFile)});
      await whilePaused(new Database(settings, 'pooled'), () => {
        console.log('paused');
        return new Promise((resolve) => setTimeout(resolve, 60_000));
      });`;
    const client = new pg.Client({ connectionString: pooler.addressOf(pooled) });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('select 1');
    const worker = execa(process.execPath, ['--input-type=module', '-e', script], {
      reject: false,
    });
    await once(worker.stdout, 'data');
    const held = client.query('select 2');
    const admin = new pg.Client({ connectionString: pooler.addressOf('pgbouncer') });
    await admin.connect();
    await eventually('the client waits', async () => {
      const { rows } = await admin.query<{ database: string; cl_waiting: string }>('show pools');
      return rows.some((one) => one.database === pooled && Number(one.cl_waiting) === 1);
    });

    worker.kill('SIGKILL');

    expect((await held).rowCount).toBe(1);
    await Promise.all([client.end(), admin.end()]);
  });

  withPooler(
    'that the worker may not pause, or has no such database, is told in the plan',
    async () => {
      const plan = async (database: string) =>
        env.result(await env.startAs('on-call', { database, to: '2025-01-11', dryRun: true }));
      expect((await plan('strange')).message).toContain('name one of its admin_users');
      expect((await plan('misnamed')).plan?.warnings.join(' ')).toContain(
        'has no nobodys at this time',
      );
    },
  );
});
