import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applicationName, identifier } from '../src/activities/postgres/database.ts';
import { migrate } from '../src/activities/postgres/schema/migrate.ts';
import { losses, whyNotInTransaction } from '../src/activities/postgres/schema/script.ts';
import { compareVersions, type ToolName, tools } from '../src/activities/postgres/schema/tools.ts';
import { latestSql, type MigrationChange } from '../src/activities/postgres/schema/versions.ts';
import { loadSettings } from '../src/config/settings.ts';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import type { HistoryEvent } from './support/runs.ts';
import { silentProgress } from './support/silent-progress.ts';

const databases = new TestDatabases();
type Scripts = Record<string, string>;

/** A database for each test, with a folder of scripts for its tool. */
const cases = {
  plain: 'plain',
  selfmade: 'plain',
  stuck: 'plain',
  waits: 'plain',
  broken: 'plain',
  undone: 'plain',
  changed: 'plain',
  outside: 'plain',
  overtaken: 'plain',
  renewed: 'plain',
  wrong: 'plain',
  killed: 'plain',
  orphaned: 'plain',
  secret: 'plain',
  late: 'plain',
  owned: 'plain',
  printed: 'plain',
  halted: 'plain',
  go: 'golang-migrate',
  flyway: 'flyway',
  node: 'node-pg-migrate',
  rails: 'rails',
} as const;
type Key = keyof typeof cases;
const keys = Object.keys(cases) as Key[];
const worker = databases.roleName('worker');
const shop = databases.roleName('shop');
/** Whether a database belongs to the shop, and the worker is no superuser there. */
const isOwned = (key: Key) => ['owned', 'printed'].includes(key);
const folders = Object.fromEntries(
  keys.map((key) => [key, mkdtempSync(join(tmpdir(), `rollback-scripts-${key}-`))]),
) as Record<Key, string>;

const env = useRollbackEnvironment(
  {
    databases: Object.fromEntries(
      keys.map((key) => [
        key,
        {
          url: databases.url(databases.nameOf(key), isOwned(key) ? worker : undefined),
          schema: { tool: cases[key], folder: folders[key] },
        },
      ]),
    ),
  },
  { procedure: 'schema' },
);
beforeAll(async () => {
  await databases.role('shop', '');
  await databases.role('worker', `in role ${shop}`);
  await Promise.all(keys.map((key) => databases.create(databases.nameOf(key))));
});
afterAll(() => databases.close());

const sql = (key: Key, text: string) => databases.sql(databases.nameOf(key), text);
function write(key: Key, scripts: Scripts): void {
  for (const [file, text] of Object.entries(scripts)) writeFileSync(join(folders[key], file), text);
}
const columns = async (key: Key) =>
  (
    await sql(
      key,
      `select column_name as c from information_schema.columns where table_name = 'orders' order by 1`,
    )
  ).map(({ c }) => String(c));
const applied = async (key: Key) =>
  (await sql(key, 'select version::text as v from schema_migrations order by version')).map(
    ({ v }) => String(v),
  );

/** Versions 1 to 3 of the runbook's own way; 2 and 3 each added a column. */
async function makePlain(key: Key, scripts: Scripts = {}): Promise<void> {
  await sql(
    key,
    `create table schema_migrations (version int primary key);
     insert into schema_migrations values (1), (2), (3);
     alter table orders add two int, add three int`,
  );
  write(key, {
    'rollback_to_v2.sql': 'alter table orders drop column three;',
    'rollback_to_v1.sql': 'alter table orders drop column two;',
    ...scripts,
  });
}

/** The same in a database of the shop, for a worker with no more than deploy/postgres-role.sql grants. */
async function makeOwned(key: Key, scripts: Scripts): Promise<void> {
  const name = identifier(databases.nameOf(key));
  await makePlain(key, scripts);
  await databases.sql('postgres', `alter database ${name} owner to ${shop}`);
  await sql(
    key,
    `grant all on schema public to ${shop};
     alter table orders owner to ${shop}; alter table schema_migrations owner to ${shop}`,
  );
}

async function start(database: Key, to: string): Promise<string> {
  const id = await env.startAs('on-call', { database, to });
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'team-lead');
  return id;
}
const run = async (database: Key, to: string) => env.result(await start(database, to));
const plan = async (database: Key, to: string): Promise<RunResult> =>
  env.result(await env.startAs('on-call', { database, to, dryRun: true }));

/** What the CLI prints for who has no Temporal. */
async function commandsOf(database: Key, to: string): Promise<string> {
  const cli = new CommandLine({ ROLLBACK_CONFIG: env.settingsFile });
  return (await cli.run('plan', 'schema', database, '--to', to, '--commands')).stdout;
}
/** The latest version as printed commands find it. */
async function latest(key: Key): Promise<unknown> {
  const tool = tools[cases[key]];
  const [row] = await sql(key, latestSql({ tool, table: tool.table, folder: folders[key] }));
  return Object.values(row ?? {})[0];
}

describe('taking a schema back', () => {
  test('goes down step by step, in order, with the SQL shown and a lead asked', async () => {
    await makePlain('plain');

    const result = await run('plain', '1');

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps.map(({ title }) => title)).toEqual([
      'Take version 3 back',
      'Take version 2 back',
    ]);
    expect(await columns('plain')).toEqual(['body', 'created_at', 'id']);
    expect(await applied('plain')).toEqual(['1']);
    expect(result.plan?.differences.join('\n')).toContain('alter table orders drop column three;');
    expect(result.plan?.warnings.join('\n')).toContain('throws rows away');
    expect(result.plan?.needs).toMatchObject([{ roles: ['team-lead'] }]);
    const again = await env.result(await env.startAs('on-call', { database: 'plain', to: '1' }));
    expect(again.outcome).toBe('no-op');
  });

  test.each(['owned', 'printed'] as const)(
    'what scripts make belongs to who owns the database, and not to the worker (%s)',
    async (key) => {
      await makeOwned(key, {
        'rollback_to_v2.sql':
          'alter table orders drop column three; create table kept (x int); delete from schema_migrations where version = 3;',
        'migrate_to_v3.sql': 'alter table orders add three int; create table again (x int);',
        'rollback_to_v1.sql': 'alter table nothing drop x;',
      });

      if (key === 'owned') {
        const paused = await env.untilPaused(await start(key, '1'));
        expect((await env.abort(paused)).outcome).toBe('aborted');
      } else {
        await execa('bash', ['-e'], { input: await commandsOf(key, '2') });
      }

      const made = await databases.sql<{ name: string; owner: string }>(
        databases.nameOf(key),
        `select tablename as name, tableowner as owner from pg_tables where schemaname = 'public' order by 1`,
      );
      expect(new Set(made.map(({ owner }) => owner))).toEqual(new Set([shop]));
      expect(made.map(({ name }) => name)).toContain('kept');
      expect(await applied(key)).toEqual(key === 'owned' ? ['1', '2', '3'] : ['1', '2']);
    },
  );

  test('printed commands begin no step after one that fails, go on there when run again, and leave what others migrate', async () => {
    await makePlain('halted', {
      'rollback_to_v2.sql': 'lock table first; alter table orders drop column three;',
      'rollback_to_v1.sql': 'lock table second; alter table orders drop column two;',
    });
    await sql('halted', 'create table first (x int); create table second (x int)');
    const input = await commandsOf('halted', '1');
    const reader = await databases.connect(databases.nameOf('halted'));
    const runWhileRead = async (table: string) => {
      await reader.query(`begin; select from ${table}`);
      const ran = await execa('sh', { input, reject: false });
      await reader.query('rollback');
      expect(ran.stderr).toContain('lock timeout');
      expect(ran.exitCode).toBe(1);
    };

    await runWhileRead('first');
    expect(await applied('halted')).toEqual(['1', '2', '3']);
    expect(await columns('halted')).toEqual(expect.arrayContaining(['three', 'two']));

    await runWhileRead('second');
    expect(await applied('halted')).toEqual(['1', '2']);
    expect(await columns('halted')).toContain('two');
    await reader.end();

    const { stdout } = await execa('sh', { input });
    expect(stdout).toContain('Version 3 is taken back already: nothing is done for it.');
    expect(await applied('halted')).toEqual(['1']);
    expect((await execa('sh', { input })).stdout).toContain('Version 2 is taken back already');

    await sql('halted', 'insert into schema_migrations values (2), (3), (9), (10)');
    const late = await execa('sh', { input, reject: false });
    expect(late.exitCode).toBe(1);
    expect(late.stderr).toContain('The schema is at version 10, and not at 3');
    expect(await applied('halted')).toEqual(['1', '2', '3', '9', '10']);
  });

  test('is not done again by a reset, after a version was put on again', async () => {
    await makePlain('renewed');
    const id = await start('renewed', '1');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    await sql(
      'renewed',
      'insert into schema_migrations values (2); alter table orders add two int',
    );

    const steps = (events: HistoryEvent[]) =>
      events.filter(
        ({ activityTaskScheduledEventAttributes: scheduled }) =>
          scheduled?.activityType?.name === 'postgres.migrate',
      );
    await env.reset(id, (events) => steps(events).length < 2);

    const { pausedAt } = await env.untilPaused(id);
    expect(pausedAt[0]?.error).toContain('The plan was made before the run was reset.');
    expect(await columns('renewed')).toContain('two');
    await env.client.workflow.getHandle(id).cancel();
  });

  test('of scripts that record their version themselves, each is recorded once', async () => {
    await makePlain('selfmade', {
      'rollback_to_v2.sql':
        'alter table orders drop column three; delete from schema_migrations where version = 3;',
    });
    expect((await run('selfmade', '2')).outcome).toBe('rolled-back');
    expect(await applied('selfmade')).toEqual(['1', '2']);
  });

  test('a script that would leave another version than planned changes nothing', async () => {
    await makePlain('wrong', {
      'rollback_to_v2.sql':
        'alter table orders drop column three; delete from schema_migrations where version > 1;',
    });
    const paused = await env.untilPaused(await start('wrong', '2'));
    expect(paused.pausedAt[0]?.error).toContain('would leave version 1');
    expect(await columns('wrong')).toContain('three');
    expect((await env.abort(paused)).outcome).toBe('aborted');
  });

  test('a script that fails halfway leaves the schema as it was, and says where', async () => {
    await makePlain('broken', {
      'rollback_to_v2.sql': 'alter table orders drop column three; alter table nothing drop x;',
    });
    const paused = await env.untilPaused(await start('broken', '2'));
    expect(paused.pausedAt[0]?.error).toContain('rollback_to_v2.sql fails with 42P01');
    expect(await columns('broken')).toContain('three');
    expect(await applied('broken')).toEqual(['1', '2', '3']);
    expect((await env.abort(paused)).outcome).toBe('aborted');
  });

  test('a value of a row is not told with the failure that it makes', async () => {
    await makePlain('secret', { 'rollback_to_v2.sql': 'select body::int from orders;' });
    const paused = await env.untilPaused(await start('secret', '2'));
    expect(paused.pausedAt[0]?.error).toContain(
      'fails with 22P02: invalid input syntax for type integer: ….',
    );
    expect((await env.abort(paused)).outcome).toBe('aborted');
  });

  test('a worker that is killed in a script leaves the old version, and the next one the new', async () => {
    await makePlain('killed', {
      'rollback_to_v2.sql': `alter table orders drop column three;
        do $$ begin if (select is_slow from pace) then perform pg_sleep(600); end if; end $$;`,
    });
    await sql('killed', 'create table pace as select true as is_slow');
    const { plan: planned } = await plan('killed', '2');
    const mandate = mandateFor(planned?.changes[0] as MigrationChange);
    const src = `${import.meta.dirname}/../src`;
    const worker = execa(
      'node',
      [
        ...['--input-type=module', '-e'],
        `import { migrate } from '${src}/activities/postgres/schema/migrate.ts';
         import { loadSettings } from '${src}/config/settings.ts';
         const progress = { cancelled: new AbortController().signal, report: () => undefined };
         await migrate(loadSettings(${JSON.stringify(env.settingsFile)}), ${JSON.stringify(mandate)}, progress);`,
      ],
      { reject: false },
    );
    const sleeping = `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
    await eventually('its script runs', async () => (await sql('killed', sleeping)).length > 0);

    worker.kill('SIGKILL');
    await worker;

    await eventually(
      'its session ends with it',
      async () => (await sql('killed', sleeping)).length === 0,
      4000,
    );
    expect(await columns('killed')).toContain('three');
    expect(await applied('killed')).toEqual(['1', '2', '3']);
    await sql('killed', 'update pace set is_slow = false');
    const progress = silentProgress();
    const effect = await migrate(loadSettings(env.settingsFile), mandate, progress);
    expect(effect).toMatchObject({ changed: true });
    expect(await columns('killed')).not.toContain('three');
    expect(await applied('killed')).toEqual(['1', '2']);
  });

  test('what an earlier attempt has left at work is ended, and not waited for', async () => {
    await makePlain('orphaned');
    const orphan = await databases.connect(databases.nameOf('orphaned'));
    await orphan.query(`set application_name = '${applicationName}'`);
    await orphan.query('begin; lock table schema_migrations in share row exclusive mode');
    const result = await run('orphaned', '2');
    expect(result.outcome).toBe('rolled-back');
    // A try for a lock takes two seconds.
    expect(result.seconds).toBeLessThan(2);
    await expect(orphan.query('select 1')).rejects.toThrow();
  });

  test('readers are not held up behind it for long while it waits for a lock', async () => {
    await makePlain('waits');
    const reader = await databases.connect(databases.nameOf('waits'));
    await reader.query('begin');
    await reader.query('select * from orders');
    const id = await start('waits', '2');
    await eventually('a try for the lock has failed', async () => {
      const { pendingActivities } = (await env.client.workflow.getHandle(id).describe()).raw;
      const [details] = pendingActivities?.[0]?.heartbeatDetails?.payloads ?? [];
      return Buffer.from(details?.data ?? [])
        .toString()
        .includes('trying again');
    });
    // Who comes later is served, although the script wants the whole table.
    expect(await databases.orders(databases.nameOf('waits'))).toBe(10);
    await reader.query('commit');

    expect((await env.result(id)).outcome).toBe('rolled-back');
    await reader.end();
  });

  test('is put on again by an abort, where there is a script for that', async () => {
    await makePlain('undone', {
      'migrate_to_v3.sql': 'alter table orders add three int;',
      'rollback_to_v1.sql': 'alter table nothing drop x;',
    });
    const paused = await env.untilPaused(await start('undone', '1'));
    expect(await applied('undone')).toEqual(['1', '2']);

    const result = await env.abort(paused);

    expect(result.outcome).toBe('aborted');
    expect(await columns('undone')).toContain('three');
    expect(await applied('undone')).toEqual(['1', '2', '3']);
  });

  test('a version that was put on again is not taken back by an attempt that comes late', async () => {
    await makePlain('late', { 'migrate_to_v3.sql': 'alter table orders add three int;' });
    const { plan: planned } = await plan('late', '2');
    const mandate = mandateFor(planned?.changes[0] as MigrationChange);
    const progress = silentProgress();
    const settings = loadSettings(env.settingsFile);
    const undo = { ...mandate, undo: true };
    await migrate(settings, mandate, progress);
    await expect(migrate(settings, undo, progress)).rejects.toThrow('nobody has signed');
    const abort = { token: 'signed', step: 'Take version 3 back', attempt: 1 };
    const signed = { ...undo, authority: { ...undo.authority, abort } };
    expect(await migrate(settings, signed, progress)).toMatchObject({ changed: true });

    const late = migrate(settings, mandate, progress);

    await expect(late).rejects.toThrow('put it on again already');
    expect(await columns('late')).toContain('three');
    expect(await applied('late')).toEqual(['1', '2', '3']);
  });

  test('a script that was changed after the plan was shown is not run', async () => {
    await makePlain('changed');
    const id = await env.startAs('on-call', { database: 'changed', to: '2' });
    const { plan: first } = await env.untilWaiting(id);
    write('changed', { 'rollback_to_v2.sql': 'drop table orders;' });
    await env.decide(id, 'approve', 'team-lead');

    const anew = await eventually('it is planned anew', async () => {
      const status = await env.status(id);
      return status.plan?.digest !== first?.digest && status;
    });

    expect(anew.plan?.differences.join('\n')).toContain('drop table orders');
    await env.untilWaiting(id);
    await env.decide(id, 'reject', 'team-lead');
    expect((await env.result(id)).outcome).toBe('rejected');
    expect(await columns('changed')).toContain('three');
  });

  test('a schema that somebody else has migrated meanwhile is left alone', async () => {
    await makePlain('overtaken');
    const id = await env.startAs('on-call', { database: 'overtaken', to: '2' });
    await env.untilWaiting(id);
    await sql('overtaken', 'insert into schema_migrations values (4)');
    await env.decide(id, 'approve', 'team-lead');

    const anew = await eventually('it is planned anew', async () => {
      const status = await env.status(id);
      return status.phase === 'done' && status;
    });

    expect(anew.outcome).toBe('refused');
    expect(anew.message).toContain('from version 4 back to 3');
    expect(await columns('overtaken')).toContain('three');
  });
});

describe('the tables and scripts of other tools', () => {
  test('golang-migrate, whose table has only the latest', async () => {
    await sql(
      'go',
      `create table schema_migrations (version bigint primary key, dirty boolean not null);
       insert into schema_migrations values (3, false); alter table orders add two int, add three int`,
    );
    write('go', {
      '001_orders.up.sql': 'select 1;',
      '002_two.up.sql': 'alter table orders add two int;',
      '002_two.down.sql': 'alter table orders drop column two;',
      '003_three.down.sql': 'alter table orders drop column three;',
    });
    const input = await commandsOf('go', '1');
    await sql('go', 'update schema_migrations set dirty = true');
    const refused = await execa('sh', { input, reject: false });
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.stderr).toContain('says that a migration has failed halfway');
    await sql('go', 'update schema_migrations set dirty = false');
    expect(await latest('go')).toBe('3');
    expect((await run('go', '1')).outcome).toBe('rolled-back');
    expect(await sql('go', 'select version::int as v, dirty from schema_migrations')).toEqual([
      { v: 1, dirty: false },
    ]);
    expect(await columns('go')).toEqual(['body', 'created_at', 'id']);
    await sql('go', 'update schema_migrations set dirty = true');
    expect((await plan('go', '0')).message).toContain('has failed halfway');
  });

  test('Flyway, with undo scripts and its history', async () => {
    await sql(
      'flyway',
      `create table flyway_schema_history (installed_rank int primary key, version varchar(50),
         description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null,
         checksum int, installed_by varchar(100) not null, installed_on timestamp not null default now(),
         execution_time int not null, success boolean not null);
       insert into flyway_schema_history values
         (1, '1', 'orders', 'SQL', 'V1__orders.sql', 1, 'x', now(), 1, true),
         (2, '1.10', 'two', 'SQL', 'V1_10__two.sql', 2, 'x', now(), 1, true);
       alter table orders add two int`,
    );
    write('flyway', { 'U1_10__two.sql': 'alter table orders drop column two;' });
    expect(await latest('flyway')).toBe('1.10');
    expect((await run('flyway', '1')).outcome).toBe('rolled-back');
    expect(await latest('flyway')).toBe('1');
    expect(
      await sql(
        'flyway',
        'select version, type, script from flyway_schema_history order by 1 desc, installed_rank desc limit 1',
      ),
    ).toEqual([{ version: '1.10', type: 'UNDO_SQL', script: 'U1_10__two.sql' }]);
    expect((await plan('flyway', '1')).outcome).toBe('no-op');
  });

  test('node-pg-migrate, with both directions in one file', async () => {
    await sql(
      'node',
      `create table pgmigrations (id serial primary key, name varchar(255) not null, run_on timestamp not null);
       insert into pgmigrations (name, run_on) values ('1_orders', now() - interval '1 h'), ('2_two', now());
       alter table orders add two int`,
    );
    write('node', {
      '2_two.sql':
        '-- Up Migration\nalter table orders add two int;\n-- Down Migration\nalter table orders drop column two;\n',
    });
    expect(await latest('node')).toBe('2_two');
    const byHand = await execa('sh', {
      input: await commandsOf('node', '1_orders'),
      reject: false,
    });
    expect(byHand).toMatchObject({ exitCode: 1 });
    expect(byHand.stderr).toContain('Not done here: take the part "-- Down Migration" of');
    expect((await run('node', '1_orders')).outcome).toBe('rolled-back');
    expect(await columns('node')).toEqual(['body', 'created_at', 'id']);
    expect(await sql('node', 'select name from pgmigrations')).toEqual([{ name: '1_orders' }]);
  });

  test('Rails, whose versions are times', async () => {
    await sql(
      'rails',
      `create table schema_migrations (version varchar primary key);
       insert into schema_migrations values ('20250101000000'), ('20250102000000');
       alter table orders add two int`,
    );
    write('rails', { '20250102000000_two.down.sql': 'alter table orders drop column two;' });
    expect((await run('rails', '20250101000000')).outcome).toBe('rolled-back');
    expect(await applied('rails')).toEqual(['20250101000000']);
  });
});

describe('what cannot be taken back is told before anything is done', () => {
  test('a version that is not applied, a script that is missing, a table that is not there', async () => {
    expect((await plan('stuck', '1')).message).toContain('There is no table "schema_migrations"');
    await makePlain('stuck');
    expect((await plan('stuck', '9')).message).toContain('the latest are 3, 2, 1');
    expect((await plan('stuck', '0')).message).toMatch(
      /There is no rollback_to_v0\.sql in .* from version 1 back to 0: add it, or go back to 1 only\.$/,
    );
    await sql('stuck', 'insert into schema_migrations values (4)');
    // Where nothing can be taken back, there is no other way than the script.
    expect((await plan('stuck', '3')).message).toMatch(
      /no rollback_to_v3\.sql in .* from version 4 back to 3: add it\.$/,
    );
  });

  test.each<[ToolName, string]>([
    ['plain', 'rollback_to_v41.sql'],
    ['golang-migrate', '42_*.down.sql'],
    ['rails', '42_*.down.sql'],
    ['flyway', 'U42__*.sql'],
    ['node-pg-migrate', '42.sql'],
  ])('the name of a missing script is one that %s would find', (name, told) => {
    expect(tools[name].downName('42', '41')).toBe(told);
    expect(tools[name].down([told.replace('*', 'orders')], '42', '41')).toBeDefined();
  });

  test('a script that is not whole or not at all', async () => {
    await makePlain('outside', { 'rollback_to_v2.sql': 'drop index concurrently i;' });
    const { outcome, message } = await plan('outside', '2');
    expect(outcome).toBe('refused');
    expect(message).toContain('PostgreSQL does not do this in a transaction: drop index');
  });

  test.each([
    ['begin; drop table x; commit;', 'begins or ends'],
    ['\\i other.sql', 'psql'],
    ['copy x from stdin;', 'rows of its own'],
    ['VACUUM FULL x', 'not do this'],
    ['create index concurrently i on x (y)', 'not do this'],
    ['reindex (verbose) schema x', 'not do this'],
    [`select 'C:\\'; commit; select 'x'`, 'begins or ends'],
    ['/* last */ commit', 'begins or ends'],
  ])('%s', (script, why) => {
    expect(whyNotInTransaction(script)).toContain(why);
  });

  test.each([
    `create function f() returns int language plpgsql as $$ begin commit; end; $$;`,
    `insert into x values ('begin; commit;'); -- commit;`,
    `/* begin; */ alter table "commit;" drop y`,
    `savepoint a; rollback to a;`,
    `create function f() returns int language sql begin atomic select 1; select case when true then 2 end; end;`,
    `refresh materialized view concurrently m`,
    `insert into x values (E'it\\'s; commit;', '\\d')`,
  ])('%s is taken for harmless', (script) => {
    expect(whyNotInTransaction(script)).toBeUndefined();
  });

  test('what throws rows away is found, and what does not is not', () => {
    expect(
      losses('drop table a; alter table b drop column c; truncate d; delete from e'),
    ).toHaveLength(4);
    expect(
      losses(
        `with old as (delete from a returning *) insert into b table old; drop owned by c;
         /* of no use */ drop type d cascade; drop extension e`,
      ),
    ).toHaveLength(4);
    expect(
      losses(
        `drop index a; alter table b drop constraint c; alter table b alter c drop default;
         create function f() returns void language sql begin atomic delete from a; end`,
      ),
    ).toEqual([]);
  });

  test('versions are in the order of their numbers', () => {
    expect(['10', '9', '1.10', '1.9', '1'].toSorted(compareVersions)).toEqual([
      '1',
      '1.9',
      '1.10',
      '9',
      '10',
    ]);
  });
});
