import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { findServers } from '../sandbox/setup/servers.mjs';
import { Database } from '../src/activities/postgres/database.ts';
import { endSession } from '../src/activities/postgres/sessions/end-session.ts';
import { type SessionChange, withoutValues } from '../src/activities/postgres/sessions/sessions.ts';
import { settingsSchema } from '../src/config/schema.ts';
import { loadSettings } from '../src/config/settings.ts';
import type { RunResult } from '../src/contract/run.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { OwnPostgres } from './support/own-postgres.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentProgress } from './support/silent-progress.ts';

const server = await OwnPostgres.reserve();
const folder = mkdtempSync(join(tmpdir(), 'rollback-transactions-'));
const databases = new TestDatabases(server.url('postgres'));
const shop = databases.nameOf('shop');
const blind = `${databases.nameOf('').trim()}_blind`;
const env = useRollbackEnvironment(
  {
    databases: {
      shop: { url: databases.url(shop) },
      blind: { url: databases.url(shop, blind) },
      least: { url: databases.url(shop, databases.roleName('least')) },
      fading: { url: databases.url(shop, databases.roleName('fading')) },
    },
  },
  { procedure: 'transactions' },
);

beforeAll(async () => {
  const parameters = { max_connections: '300', wal_level: 'logical', autovacuum_naptime: '1s' };
  await server.start(folder, parameters);
  await databases.create(shop);
  await databases.role('blind', '');
  await databases.role('least', 'in role pg_read_all_stats, pg_signal_backend');
  await databases.role('fading', 'in role pg_read_all_stats, pg_signal_backend');
});
afterAll(async () => {
  await databases.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const run = async (input: object = {}): Promise<RunResult> =>
  env.result(
    await env.startAs('on-call', {
      ...{ database: 'shop', olderThan: '200ms', endAfter: '200ms' },
      ...input,
    }),
  );

/** A session that has something open; answers it with its process id. */
async function session(...statements: string[]): Promise<{ client: pg.Client; pid: number }> {
  const client = await databases.connect(shop);
  for (const statement of statements) await client.query(statement);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { client, pid: rows[0]?.pid ?? 0 };
}

const isOpen = async (pid: number) =>
  (await databases.sql('postgres', `select from pg_stat_activity where pid = ${pid}`)).length > 0;
/** Waits until its transaction is older than the runs of this file ask for. */
const untilOld = (pid: number) =>
  eventually('the transaction is old', async () => {
    const rows = await databases.sql(
      'postgres',
      `select from pg_stat_activity where pid = ${pid} and xact_start < clock_timestamp() - interval '300 ms'`,
    );
    return rows.length > 0;
  });
const steps = ({ steps: all }: RunResult) => all.map(({ title }) => title);

describe('long transactions', () => {
  test('one that only holds its locks is ended, and who waited for it goes on', async () => {
    const holder = await session('begin', `update orders set body = 'x' where id = 1`);
    const waiting = await session();
    const waited = waiting.client.query(`update orders set body = 'y' where id = 1`);
    await untilOld(holder.pid);

    const result = await run({ reason: 'the migration waits' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.differences.join('\n')).toContain(`blocks ${waiting.pid}`);
    expect(steps(result)).toContain(`End session ${holder.pid}`);
    expect((await waited).rowCount).toBe(1);
    expect(await isOpen(holder.pid)).toBe(false);
    await waiting.client.end();
  });

  test('a statement is cancelled, and its session is left alone', async () => {
    const { client, pid } = await session();
    const slept = client.query('select pg_sleep(60)').catch((error: Error) => error.message);
    await untilOld(pid);

    const result = await run();

    expect(result.steps.find(({ title }) => title === `End session ${pid}`)?.text).toContain(
      'was cancelled',
    );
    expect(await slept).toContain('user request');
    expect((await client.query('select 1')).rowCount).toBe(1);
    await client.end();
  });

  test('one that goes on although its statement is cancelled is ended', async () => {
    const { client, pid } = await session();
    const stubborn = `do $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$`;
    const ended = client.query(stubborn).catch((error: Error) => error.message);
    await untilOld(pid);

    const result = await run();

    expect(result.steps.find(({ title }) => title === `End session ${pid}`)?.text).toBe(
      `Session ${pid} was ended.`,
    );
    expect(await ended).toContain('administrator command');
    expect(await isOpen(pid)).toBe(false);
  });

  test('young ones are left alone', async () => {
    const young = await session('begin', 'select 1');
    expect((await run({ olderThan: '1h', endAfter: '1h' })).outcome).toBe('no-op');
    expect(await isOpen(young.pid)).toBe(true);
    await young.client.end();
  });

  test('backups, replication and our own sessions go on, however old they are', async () => {
    await databases.sql(
      shop,
      `create table large as select repeat('x', 1000000) as body from generate_series(1, 40)`,
    );
    const program = (name: string) => join(findServers()['postgres-folder'], name);
    // Nobody reads what it writes, so that it stands still in its COPY; under a name that is not its own.
    const dump = execa(program('pg_dump'), ['--table=large', `--dbname=${databases.url(shop)}`], {
      ...{ buffer: false, reject: false, env: { PGAPPNAME: 'nightly' } },
    });
    dump.stdout.pause();
    const backup = [`--dbname=${server.url('postgres')}`, `--pgdata=${join(folder, 'base')}`];
    const slowly = ['--max-rate=32k', '--checkpoint=fast', '--wal-method=none'];
    const base = execa(program('pg_basebackup'), [...backup, ...slowly], { reject: false });
    // A subscriber's first copy of its tables has a transaction open all the while.
    const subscriber = new pg.Client({
      connectionString: databases.url(shop),
      ...({ replication: 'database' } as object),
    });
    await subscriber.connect();
    await subscriber.query(`CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT`);
    const settings = settingsSchema.parse({ databases: { shop: { url: databases.url(shop) } } });

    const checked = new Database(settings, 'shop').session(async (own) => {
      await own.query('begin; select 1');
      const pids = await eventually('all are at work', async () => {
        const rows = await databases.sql<{ pid: number }>(
          shop,
          `select pid from pg_stat_activity
           where application_name in ('nightly', 'rollback-workflows') and xact_start < clock_timestamp() - interval '300 ms'
             and (application_name <> 'nightly' or query ilike 'copy%' and wait_event = 'ClientWrite')
             or backend_type = 'walsender' and query ~ '^(BASE_BACKUP|CREATE_REPLICATION_SLOT)'`,
        );
        return rows.length === 4 && rows.map(({ pid }) => pid);
      });

      expect((await run()).outcome).toBe('no-op');

      for (const pid of pids) expect(await isOpen(pid)).toBe(true);
    });
    await checked.finally(async () => {
      dump.stdout.destroy();
      for (const child of [dump, base]) child.kill('SIGKILL');
      await Promise.all([dump, base, subscriber.end()]);
    });
  });

  test('autovacuum goes on, without which the server would come to a stop', async () => {
    // A page each tenth of a second.
    await databases.sql(
      shop,
      `create table dusty with (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
         autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
       as select repeat('x', 1000) as body from generate_series(1, 5000)`,
    );
    await databases.sql(shop, 'delete from dusty');
    const pid = await eventually('it is at work', async () => {
      const [row] = await databases.sql<{ pid: number }>(
        shop,
        `select pid from pg_stat_activity where datname = current_database()
           and backend_type = 'autovacuum worker' and xact_start < clock_timestamp() - interval '300 ms'`,
      );
      return row?.pid;
    });

    expect((await run()).outcome).toBe('no-op');

    expect(await isOpen(pid)).toBe(true);
    await databases.sql(shop, 'drop table dusty');
  });

  test('two hundred that wait behind one are told from it at once', async () => {
    const holder = await session('begin', `update orders set body = 'x' where id = 1`);
    const crowd = await Promise.all(Array.from({ length: 200 }, () => databases.connect(shop)));
    const waited = crowd.map((client) => client.query(`update orders set body = 'y' where id = 1`));
    await eventually('all wait', async () => {
      const rows = await databases.sql(
        shop,
        `select from pg_stat_activity where wait_event_type = 'Lock' and xact_start < clock_timestamp() - interval '300 ms'`,
      );
      return rows.length === 200;
    });

    const result = await run();

    expect(steps(result)).toEqual([`End session ${holder.pid}`]);
    expect(result.plan?.differences.join('\n')).toMatch(/blocks (\d+, ){9}\d+ and 190 more/);
    for (const { rowCount } of await Promise.all(waited)) expect(rowCount).toBe(1);
    await Promise.all(crowd.map((client) => client.end()));
  });

  test('a session that has gone on to its next transaction is not ended for the last one', async () => {
    const { client, pid } = await session('begin', 'select 1');
    await untilOld(pid);
    // Nobody has started this run, so that it waits for a confirmation.
    const id = await env.startAs('nobody', {
      ...{ database: 'shop', olderThan: '200ms', endAfter: '200ms' },
    });
    await env.untilWaiting(id);
    await client.query('commit');
    await client.query('begin');
    await client.query('select 1');
    await env.decide(id, 'approve', 'on-call');

    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps.find(({ title }) => title === `End session ${pid}`)?.text).toContain(
      'had already ended',
    );
    expect((await client.query('select 1')).rowCount).toBe(1);
    await client.end();
  });

  test('a role that cannot see the others is an error, and never "nothing to do"', async () => {
    const { client, pid } = await session('begin', 'select 1');
    await untilOld(pid);

    const result = await run({ database: 'blind' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('GRANT pg_read_all_stats, pg_signal_backend TO');
    await client.end();
  });

  test('a role that lost its rights since the plan does not say that all had ended', async () => {
    // Of no superuser, whose sessions are out of reach anyway.
    const client = await databases.connect(shop, blind);
    await client.query('begin');
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pid = rows[0]?.pid ?? 0;
    await untilOld(pid);
    const { plan } = await run({ database: 'fading', dryRun: true });
    const change = plan?.changes.find(({ id }) => id === `session/${pid}`) as SessionChange;
    await databases.sql(
      'postgres',
      `revoke pg_read_all_stats from ${databases.roleName('fading')}`,
    );
    const progress = silentProgress();

    const ended = endSession(loadSettings(env.settingsFile), mandateFor(change), progress);

    await expect(ended).rejects.toThrow('GRANT pg_read_all_stats TO');
    expect(await isOpen(pid)).toBe(true);
    await client.end();
  });

  test('a session of a superuser is told with its command where the worker may not end it', async () => {
    const holder = await session('begin', 'select 1');
    await untilOld(holder.pid);

    const { plan } = await run({ database: 'least', dryRun: true });

    expect(plan?.changes.map(({ id }) => id)).not.toContain(`session/${holder.pid}`);
    expect(plan?.differences.join('\n')).toContain(`stays: ${holder.pid} of postgres`);
    expect(plan?.warnings.join('\n')).toContain(`select pg_terminate_backend(${holder.pid})`);
    await holder.client.end();
  });

  test('with nothing open for long, it is a no-op that says so', async () => {
    const result = await run({ olderThan: '1h', endAfter: '2h' });
    expect(result.outcome).toBe('no-op');
    expect(result.message).toContain('No transaction of database');
  });

  test('people who mistype the times, or the database, are told', async () => {
    expect((await run({ olderThan: '10m', endAfter: '5m' })).message).toContain('--older-than');
    expect((await run({ database: 'another' })).message).toContain('they have shop, blind');
  });
});

test('no value of a statement is shown', () => {
  const text = withoutValues(
    `update t1 set a='it''s', b = $$tok$$, c=$x$ y $x$ where id in (12, 3.5) and "n" = E'\\x'`,
  );
  expect(text).toBe('update t1 set a=?, b = ?, c=? where id in (?, ?) and "n" = ?');
  expect(withoutValues(`select E'it\\'s secret', 1 -- of bob`)).toBe('select ?, ?');
  expect(withoutValues(`select 'unfinished and secr`)).toBe('select ?');
  expect(
    withoutValues(`insert into notes values ('a -- b', 'C:\\', 1e5, 0xCAFE, .5)\n, ('secret')`),
  ).toBe('insert into notes values (?, ?, ?, ?, ?) , (?)');
  expect(withoutValues(`select "it's", 'x' /* 'a /* b */ secret */ where c1 = $1`)).toBe(
    `select "it's", ? where c1 = $1`,
  );
});
