import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFailure } from '../src/activities/failures.ts';
import { identifier } from '../src/activities/postgres/database.ts';
import { noteSql } from '../src/activities/postgres/notes.ts';
import { runProgram } from '../src/activities/postgres/run-program.ts';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const databases = new TestDatabases();
const shop = databases.nameOf('shop');
const other = databases.nameOf('other');
const backups = { folder: databases.folder, jobs: 2 };
const programs = mkdtempSync(join(tmpdir(), 'rollback-programs-'));
const telling = mkdtempSync(join(tmpdir(), 'rollback-programs-'));
const mark = shop.split(' ')[0];

const env = useRollbackEnvironment(
  {
    databases: {
      shop: { url: databases.url(shop), backups },
      weak: { url: databases.url(shop, `${mark}_weak`), backups },
      least: { url: databases.url(shop, `${mark}_least`), backups },
      away: { url: 'postgres://somebody:hunter2@127.0.0.1:1/shop', backups },
      gone: { url: databases.url(databases.nameOf('gone')), backups },
      other: { url: databases.url(other, `${mark}_least`), backups },
      newer: { url: databases.url(shop), backups: { ...backups, programs } },
      later: { url: databases.url(shop), backups: { ...backups, programs: telling } },
      nowhere: { url: databases.url(shop), backups: { folder: '/nowhere' } },
    },
  },
  { procedure: 'database' },
);
beforeAll(async () => {
  await Promise.all([databases.create(shop), databases.create(other)]);
  await databases.role('weak', '');
  await databases.role('least', 'createdb');
  await databases.sql(
    'postgres',
    `grant pg_signal_backend, pg_read_all_stats to ${mark}_least;
     alter database ${identifier(shop)} owner to ${mark}_least;
     alter database ${identifier(other)} owner to ${mark}_least`,
  );
  await databases.dump(shop, at);
});
afterAll(() => databases.close());

const at = new Date('2025-01-10T14:30:00Z');
const to = '2025-01-10T15:00:00Z';
const plan = async (database: string, input: object = { to }): Promise<RunResult> =>
  env.result(await env.startAs('on-call', { database, dryRun: true, ...input }));
/** Runs approved and until it is paused, aborts it, and answers the error that it was paused with. */
async function errorOf(database: string, input: object): Promise<string> {
  const id = await env.startAs('on-call', { database, ...input });
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'team-lead');
  const paused = await env.untilPaused(id);
  expect((await env.abort(paused)).outcome).toBe('aborted');
  return paused.pausedAt[0]?.error ?? '';
}
const untouched = async () => {
  expect(await databases.orders(shop)).toBe(10);
  expect((await databases.names()).filter((name) => /_(restore|old)_/.test(name))).toEqual([]);
};

describe('what is in the way of a swap is told before anything is done', () => {
  test('a prepared transaction', async () => {
    await databases.sql(
      shop,
      `begin; insert into orders values (50, 'x'); prepare transaction 'left-open'`,
    );
    const { outcome, message } = await plan('shop');
    expect(outcome).toBe('refused');
    expect(message).toContain('Transaction left-open of postgres is prepared');
    await databases.sql(shop, `rollback prepared 'left-open'`);
  });

  test('change capture that reads a logical slot, even one that nobody reads now', async () => {
    await databases.sql(
      shop,
      `select pg_create_logical_replication_slot('${mark}_slot', 'test_decoding')`,
    );
    const { message } = await plan('shop');
    expect(message).toContain(`Inactive replication slot ${mark}_slot belongs to`);
    await databases.sql(shop, `select pg_drop_replication_slot('${mark}_slot')`);
  });

  test('a subscription, which would go on filling the old one, and the process that fills it', async () => {
    // A publisher that never says a word, so that the process stays.
    const sockets: Socket[] = [];
    const publisher = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    await once(publisher.listen(0, '127.0.0.1'), 'listening');
    const { port } = publisher.address() as AddressInfo;
    const subscription = `${mark}_subscription`;
    await databases.sql(
      shop,
      `create subscription ${subscription} connection 'host=127.0.0.1 port=${port}' publication p with (connect = false)`,
    );
    await databases.sql(shop, `alter subscription ${subscription} enable`);
    await eventually('its process is there', () => Promise.resolve(sockets.length > 0));

    const { outcome, message } = await plan('shop');

    await databases.sql(shop, `alter subscription ${subscription} disable`);
    await databases.sql(shop, `alter subscription ${subscription} set (slot_name = none)`);
    for (const socket of sockets) socket.destroy();
    publisher.close();
    await databases.sql(shop, `drop subscription ${subscription}`);
    expect(outcome).toBe('refused');
    expect(message).toContain(`Subscription ${subscription} writes into ${shop}`);
    expect(message).toMatch(/Process logical replication .* of the server has/);
  });

  test('rights that the worker lacks, all at once', async () => {
    const { outcome, message } = await plan('weak');
    expect(outcome).toBe('refused');
    for (const grant of ['CREATEDB', 'pg_read_all_stats', 'pg_signal_backend']) {
      expect(message).toContain(grant);
    }
  });

  test('settings that only a superuser carries over', async () => {
    const name = identifier(shop);
    await databases.sql(
      'postgres',
      `alter database ${name} set log_min_duration_statement to '1s'`,
    );
    const { message } = await plan('least');
    expect(message).toContain('GRANT SET ON PARAMETER log_min_duration_statement');
    await databases.sql('postgres', `alter database ${name} reset log_min_duration_statement`);
  });

  test('settings of a role, which only who may alter that role carries over', async () => {
    const [reader, root] = [
      await databases.role('reader', ''),
      await databases.role('root', 'superuser'),
    ];
    const name = identifier(shop);
    await databases.sql(
      'postgres',
      `grant ${reader} to ${mark}_least with admin option;
       alter role ${reader} in database ${name} set work_mem to '8MB';
       alter role ${root} in database ${name} set work_mem to '8MB'`,
    );
    const { message } = await plan('least');
    expect(message).toContain(`ALTER ROLE ${mark}_least CREATEROLE`);
    expect(message).toContain(`since ${root} is a superuser`);
    // What the plan says is true of the server.
    const worker = await databases.connect('postgres', `${mark}_least`);
    const carry = (role: string) =>
      worker.query(`alter role ${role} in database ${name} set work_mem to '8MB'`);
    await expect(carry(reader)).rejects.toThrow('permission denied');
    await databases.sql('postgres', `alter role ${mark}_least createrole`);
    await carry(reader);
    await expect(carry(root)).rejects.toThrow('must be superuser');
    await worker.end();
    await databases.sql(
      'postgres',
      `alter role ${root} in database ${name} reset all; alter role ${reader} in database ${name} reset all`,
    );
  });

  test('a superuser who has a session there, where the worker is none', async () => {
    const superuser = await databases.connect(shop);
    const { message } = await plan('least');
    expect(message).toContain('Sessions of superuser postgres are open');
    await superuser.end();
  });
});

describe('a backup that cannot be used leaves the live database as it is', () => {
  const archive = (name: string) => join(databases.folder, name);

  test('none that is old enough', async () => {
    const { outcome, message } = await plan('shop', { to: '2025-01-10T14:29:59Z' });
    expect(outcome).toBe('refused');
    expect(message).toContain('no backup');
    expect(message).toContain('2025-01-10T14:30:00.000Z');
  });

  test('one of another database', async () => {
    const dumped = await databases.dump(other, at);
    const name = `${shop}_2025-02-01T00-00-00Z.dump`;
    writeFileSync(archive(name), readFileSync(archive(dumped)));
    const { message } = await plan('shop', { backup: name });
    expect(message).toContain(`is of database ${other}, not of ${shop}`);
  });

  test('one of a newer format than pg_restore knows', async () => {
    const name = `${shop}_2025-02-02T00-00-00Z.dump`;
    // "PGDMP", then major and minor version of the format.
    writeFileSync(archive(name), Buffer.from('PGDMP\x63\x00\x00', 'latin1'));
    const { message } = await plan('shop', { backup: name });
    expect(message).toMatch(/no archive that can be restored: unsupported version \(99\.0/);
  });

  test('one whose owner the worker cannot act for, or whose reader was dropped since', async () => {
    const [seller, reader] = ['seller', 'an odd reader'].map((name) => databases.roleName(name));
    await databases.sql(
      other,
      `create role ${seller}; create role "${reader}"; alter table orders owner to ${seller};
       grant select on orders to "${reader}"`,
    );
    const dumped = await databases.dump(other, new Date('2025-02-07T00:00:00Z'));
    await databases.sql(other, `drop owned by "${reader}"; drop role "${reader}"`);
    const { message } = await plan('other', { backup: dumped });
    expect(message).toContain(`the server has no role ${reader}, and`);
    expect(message).toContain(
      `CREATE ROLE "${reader}"; GRANT "${seller}" TO "${databases.roleName('least')}"`,
    );
    await databases.sql(other, `reassign owned by ${seller} to postgres; drop role ${seller}`);
  });

  test('one that the pg_restore of this worker would fail with', async () => {
    // Stands in for a newer version: only what it says of itself is asked.
    writeFileSync(
      join(programs, 'pg_restore'),
      `#!/bin/sh\n[ "$1" = --version ] && echo 'pg_restore (PostgreSQL) 17.2' && exit\nexec pg_restore "$@"\n`,
      { mode: 0o755 },
    );
    const { message } = await plan('newer');
    expect(message).toContain('sets transaction_timeout, which the server');
  });

  test('one of a newer server than the live one', async () => {
    // Stands in for a dump of one: it says so in its list of contents.
    writeFileSync(
      join(telling, 'pg_restore'),
      `#!/bin/sh\npg_restore "$@" | sed 's/\\(Dumped from database version:\\) .*/\\1 99.1/'\n`,
      { mode: 0o755 },
    );
    const { outcome, message } = await plan('later');
    expect(outcome).toBe('refused');
    expect(message).toContain("is of PostgreSQL 99, newer than the server's");
  });

  test('one with a value that the table does not take, which is not told', async () => {
    const failing = join(programs, 'failing');
    writeFileSync(
      failing,
      `#!/bin/sh\ncat >&2 <<'E'\npg_restore: error: COPY failed for table "orders": ERROR:  invalid input syntax for type integer: "alice@example.com"\nE\nexit 1\n`,
      { mode: 0o755 },
    );
    const cancelled = new AbortController().signal;
    expect(await runProgram(failing, [], { cancelled })).toBe(
      'COPY failed for table "orders": ERROR:  invalid input syntax for type integer: …',
    );
    const asked = databases.sql(other, `select 'alice@example.com'::int`);
    const failure = toFailure(await asked.catch((error: unknown) => error));
    expect(failure.message).toBe(
      'PostgreSQL answers 22P02: invalid input syntax for type integer: ….',
    );
  });

  test('one that is no archive at all', async () => {
    const name = `${shop}_2025-02-03T00-00-00Z.dump`;
    writeFileSync(archive(name), 'select 1;');
    expect((await plan('shop', { backup: name })).message).toContain('no archive that can be');
  });

  test('one that was cut off', async () => {
    await databases.sql(
      other,
      `insert into orders select g, md5(g::text) from generate_series(11, 20000) g`,
    );
    const whole = readFileSync(
      archive(await databases.dump(shop, new Date('2025-02-04T00:00:00Z'))),
    );
    const name = `${shop}_2025-02-05T00-00-00Z.dump`;
    writeFileSync(archive(name), whole);
    truncateSync(archive(name), whole.length - 40);
    expect(await errorOf('shop', { backup: name })).toMatch(
      /cannot be restored: .*(end of file|read)/,
    );
    await untouched();
  });

  test('one that was written over after the plan was made', async () => {
    const name = await databases.dump(shop, new Date('2025-02-06T00:00:00Z'));
    const id = await env.startAs('on-call', { database: 'shop', backup: name });
    await env.untilWaiting(id);
    appendFileSync(archive(name), 'x');
    await env.decide(id, 'approve', 'team-lead');
    // Planned anew, it is another archive, which nobody has approved.
    const status = await env.untilWaiting(id);
    expect(status.plan?.changes[0]?.after.backup).toBe(name);
    await env.decide(id, 'reject', 'team-lead');
    await env.result(id);
    await untouched();
  });

  test('a copy of that name which no run has made is never dropped', async () => {
    const copy = `${shop}_restore_20250110T143000Z`;
    await databases.create(copy, 1);
    expect((await plan('shop')).message).toContain(`There is a database ${copy} that no run`);
    await databases.sql(
      'postgres',
      noteSql(copy, undefined, {
        ...{ workflowId: 'sf4', firstRunId: 'r', state: 'restored', of: shop, at: to },
      }),
    );
    expect((await plan('shop')).message).toContain(
      'was restored by run sf4, and the copy would get its name: follow or end that run (rollback status sf4); where it has ended, rename or drop it',
    );
    expect(await databases.orders(copy)).toBe(1);
    await databases.sql('postgres', `drop database ${identifier(copy)}`);
  });
});

describe('what is wrong is told in a sentence', () => {
  test('a server that does not answer, without its password', async () => {
    const cli = new CommandLine({ ROLLBACK_CONFIG: env.settingsFile });
    const { exitCode, stderr } = await cli.run('plan', 'database', 'away', '--to', to);
    expect(exitCode).toBe(5);
    expect(stderr).toContain('PostgreSQL at 127.0.0.1:1 does not answer');
    expect(stderr).not.toContain('hunter2');
  });

  test('a database, a folder or a time that is not there', async () => {
    expect((await plan('gone')).message).toContain('There is no database');
    expect((await plan('nowhere')).message).toContain('Folder /nowhere of backups cannot be read');
    expect((await plan('shop', { to: '2025-02-31T00:00:00Z' })).message).toContain('no time');
    expect((await plan('shop', { to: 'yesterday' })).outcome).toBe('invalid');
    expect((await plan('shop', { to: '2099-01-01T00:00:00Z' })).message).toMatch(
      /^2099-01-01T00:00:00.000Z is still to come; the server's clock says 20/,
    );
    expect((await plan('shop', {})).message).toContain('Nothing says where to go back to');
    expect((await plan('shop', { undo: 'no-such-run' })).message).toContain('no database aside');
  });
});
