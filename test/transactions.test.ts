import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { RunResult } from '../src/contract/run.ts';
import { withoutValues } from '../src/activities/postgres/sessions/sessions.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const databases = new TestDatabases();
const shop = databases.nameOf('shop');
const blind = `${databases.nameOf('').trim()}_blind`;
const env = useRollbackEnvironment(
  {
    databases: {
      shop: { url: databases.url(shop) },
      blind: { url: databases.url(shop, blind) },
    },
  },
  { procedure: 'transactions' },
);

beforeAll(async () => {
  await databases.create(shop);
  await databases.role('blind', '');
});
afterAll(() => databases.close());

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

  test('young ones, backups, replication and our own sessions are left alone', async () => {
    const young = await session('begin', 'select 1');
    const copying = await databases.connect(shop);
    await copying.query(`set application_name = 'pg_dump'`);
    await copying.query('begin');
    const { rows } = await copying.query<{ pid: number }>('select pg_backend_pid() as pid');
    const copyingPid = rows[0]?.pid ?? 0;
    await untilOld(copyingPid);

    const result = await run({ olderThan: '1h', endAfter: '1h' });
    expect(result.outcome).toBe('no-op');
    const listed = await run({ dryRun: true, olderThan: '1ms', endAfter: '1ms' });
    expect(listed.plan?.changes.map(({ before }) => before.pid)).not.toContain(copyingPid);

    expect(await isOpen(young.pid)).toBe(true);
    expect(await isOpen(copyingPid)).toBe(true);
    await Promise.all([young.client.end(), copying.end()]);
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
});
