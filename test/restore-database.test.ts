import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { Redis } from 'ioredis';
import { resolve } from 'node:path';
import { identifier } from '../src/activities/postgres/database.ts';
import { verifyCopy } from '../src/activities/postgres/restore/verify-copy.ts';
import { loadSettings } from '../src/config/settings.ts';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { RedisServer } from './support/redis.ts';
import { restoreMandate } from './support/restore-mandate.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { writeSettings } from './support/settings.ts';
import { silentProgress } from './support/silent-progress.ts';

const databases = new TestDatabases();
const guarded = await RedisServer.start();
/** By what each is for; names are as nasty as PostgreSQL allows. */
const names = {
  plain: databases.nameOf('plain'),
  under_score: databases.nameOf('under_score'),
  quoted: databases.nameOf(`it's a "shop"; drop database postgres --`),
  unicode: databases.nameOf('Läden 店 🛒'),
  folder: databases.nameOf('folder'),
  owned: databases.nameOf('owned'),
  apart: databases.nameOf(`it's "apart"; $(exit 7)`),
  undone: databases.nameOf('undone'),
  twice: databases.nameOf('twice'),
  thrice: databases.nameOf('thrice'),
  wrong: databases.nameOf('wrong'),
  served: databases.nameOf('served'),
  least: databases.nameOf('least'),
  replaced: databases.nameOf('replaced'),
  cached: databases.nameOf('cached'),
  halted: databases.nameOf('halted'),
  closed: databases.nameOf('closed'),
  locked: databases.nameOf('locked'),
  asked: databases.nameOf('asked'),
};
type Key = keyof typeof names;
/** Address of a database of this file; of one with a password, that the server does not ask for. */
function urlOf(key: string, name: string): string {
  if (key === 'least') return databases.url(name, databases.roleName('worker'));
  const url = new URL(databases.url(name));
  if (key === 'apart') url.password = 'hunter2';
  return url.href;
}

const env = useRollbackEnvironment(
  {
    services: { shop: { deployment: 'shop' }, halted: { deployment: 'halted' } },
    caches: {
      shop: { url: process.env.REDIS_URL, prefixes: ['served-order:'] },
      guarded: { url: guarded.url, prefixes: ['order:'] },
    },
    databases: Object.fromEntries(
      Object.entries(names).map(([key, name]) => [
        key,
        {
          url: urlOf(key, name),
          backups: { folder: databases.folder, jobs: 2 },
          ...(key === 'served' ? { services: ['shop'], caches: ['shop'] } : {}),
          ...(key === 'cached' ? { caches: ['guarded'] } : {}),
          ...(key === 'halted' ? { services: ['halted'] } : {}),
          ...(key === 'wrong' || key === 'halted'
            ? { verify: [{ query: 'select count(*) from orders', is: 11 }] }
            : {}),
        },
      ]),
    ),
  },
  { procedure: 'database' },
);
beforeAll(() => Promise.all(Object.values(names).map((name) => databases.create(name))));
afterAll(() => databases.close());

const at = new Date('2025-01-10T14:30:00Z');
const to = '2025-01-10 15:00:00';

/** Starts a run about a database, approved by a lead, and answers its id. */
async function start(key: Key, input: object = { to }): Promise<string> {
  const id = await env.startAs('on-call', { database: key, ...input });
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'team-lead');
  return id;
}
/** Runs to the end; a pause is told at once. */
async function run(key: Key, input?: object): Promise<RunResult> {
  const id = await start(key, input);
  const ended = await eventually(
    'the run ends',
    async () => {
      const status = await env.status(id);
      return ['paused', 'done'].includes(status.phase) && status;
    },
    50_000,
  );
  if (ended.phase === 'paused') throw new Error(ended.pausedAt[0]?.error);
  return env.result(id);
}
const mayConnect = async (role: string, key: Key) => {
  const [answer] = await databases.sql<{ may: boolean }>(
    'postgres',
    `select has_database_privilege('${role}', '${names[key]}', 'connect') as may`,
  );
  return answer?.may;
};
const stepTexts = ({ steps }: RunResult) => steps.map(({ text }) => text ?? '').join('\n');
const copyOf = async (key: Key, word: string) =>
  (await databases.names()).find(
    // PostgreSQL has no room for all of a long name.
    (name) => name.startsWith(names[key].slice(0, 20)) && name.includes(`_${word}_`),
  );

describe('going back to a backup', () => {
  test.each(['plain', 'under_score', 'quoted', 'unicode', 'folder'] as const)(
    'brings the rows back and keeps what was live, of a %s database',
    async (key) => {
      await databases.dump(names[key], at, key === 'folder' ? 'directory' : 'custom');
      await databases.sql(names[key], `delete from orders; insert into orders values (99, 'late')`);

      const result = await run(key);

      expect(result.outcome).toBe('rolled-back');
      expect(await databases.orders(names[key])).toBe(10);
      const old = await copyOf(key, 'old');
      expect(await databases.sql(old ?? '', 'select id from orders')).toEqual([{ id: 99 }]);
      expect(stepTexts(result)).toContain(`kept as ${old}`);
      expect(await copyOf(key, 'restore')).toBeUndefined();
    },
  );

  test('names what is lost, how old the backup is, and the zone that was not given', async () => {
    const { plan } = await env.result(
      await env.startAs('on-call', { database: 'apart', to, dryRun: true }),
    );
    expect(plan).toBeUndefined();
    await databases.dump(names.apart, at);
    const dry = await env.result(
      await env.startAs('on-call', { database: 'apart', to, dryRun: true }),
    );
    expect(dry.plan?.differences.join('\n')).toContain('public.orders: 10 rows of created_at');
    expect(dry.plan?.warnings.join('\n')).toContain('has no time zone and is taken as UTC');
    expect(dry.plan?.warnings.join('\n')).toContain(
      'is of 30 min before the time you asked for: what was written between 2025-01-10T14:30:00.000Z',
    );
    expect(dry.plan?.needs).toMatchObject([{ roles: ['team-lead'], count: 1 }]);
  });

  test('takes the newest backup at or before the time, and no later one', async () => {
    const input = { database: 'apart', to: '2025-01-10T14:30:00+00:00', dryRun: true };
    await databases.dump(names.apart, new Date('2025-01-10T14:30:01Z'));
    const { plan } = await env.result(await env.startAs('on-call', input));
    expect(plan?.changes[0]?.after.backup).toBe(`${names.apart}_2025-01-10T14-30-00Z.dump`);
    expect(plan?.warnings.join()).not.toContain('before the time you asked for');
  });

  test('carries settings, grants, limit and comment over, and owner and encoding', async () => {
    const name = identifier(names.owned);
    const owner = await databases.role('owner', '');
    const reader = await databases.role('reader', '');
    await databases.sql(
      'postgres',
      `alter database ${name} owner to ${owner};
       alter database ${name} set search_path to "$user", public, "odd ""one""";
       alter database ${name} set work_mem to '12MB';
       alter role ${reader} in database ${name} set statement_timeout to '7s';
       alter database ${name} connection limit 42;
       revoke connect on database ${name} from public;
       grant connect, temporary on database ${name} to ${reader} with grant option;
       comment on database ${name} is 'all the orders'`,
    );
    const properties = () =>
      databases.sql(
        'postgres',
        `select pg_get_userbyid(datdba) as owner, encoding, datcollate, datconnlimit,
           (select array_agg(a::text order by a::text) from aclexplode(datacl) a) as acl,
           (select array_agg(coalesce(r.rolname, '') || c order by c) from pg_db_role_setting s
            left join pg_roles r on r.oid = setrole, unnest(setconfig) c where setdatabase = d.oid) as settings,
           split_part(shobj_description(d.oid, 'pg_database'), E'\\n', 1) as comment
         from pg_database d where datname = '${names.owned}'`,
      );
    const before = await properties();
    await databases.dump(names.owned, at);

    expect((await run('owned')).outcome).toBe('rolled-back');

    expect(await properties()).toEqual(before);
    expect(before[0]?.comment).toBe('all the orders');
  });

  test('opens to nobody what is open to nobody', async () => {
    const reader = await databases.role('stranger', '');
    await databases.sql(
      'postgres',
      `revoke all on database ${identifier(names.closed)} from public, postgres`,
    );
    await databases.dump(names.closed, at);

    expect((await run('closed')).outcome).toBe('rolled-back');

    expect(await mayConnect(reader, 'closed')).toBe(false);
  });

  test('lets nobody back in who was locked out since, when it is taken back', async () => {
    const name = identifier(names.locked);
    const reader = await databases.role('leaver', '');
    await databases.sql(
      'postgres',
      `revoke connect on database ${name} from public;
       grant connect on database ${name} to ${reader} with grant option;
       alter database ${name} set work_mem to '12MB'`,
    );
    await databases.dump(names.locked, at);
    const id = await start('locked');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await mayConnect(reader, 'locked')).toBe(true);
    await databases.sql(
      'postgres',
      `revoke all on database ${name} from ${reader}; alter database ${name} reset work_mem`,
    );

    expect((await run('locked', { undo: id })).outcome).toBe('rolled-back');

    expect(await mayConnect(reader, 'locked')).toBe(false);
    expect(await databases.sql(names.locked, 'show work_mem')).toEqual([{ work_mem: '4MB' }]);
  });

  test('needs no more than deploy/postgres-role.sql grants', async () => {
    const owner = await databases.role('shop', '');
    await databases.sql('postgres', `alter database ${identifier(names.least)} owner to ${owner}`);
    await databases.sql(names.least, `alter table orders owner to ${owner}`);
    await databases.role('worker', '');
    const worker = databases.roleName('worker');
    const file = resolve(import.meta.dirname, '../deploy/postgres-role.sql');
    const psql = ['-X', '-v', 'ON_ERROR_STOP=1', '-d', databases.url('postgres')];
    await execa('psql', [...psql, '-v', `worker=${worker}`, '-v', `owner=${owner}`, '-f', file]);
    await databases.dump(names.least, at);
    await databases.sql(names.least, 'delete from orders');

    const result = await run('least');

    expect(result.outcome).toBe('rolled-back');
    expect(await databases.orders(names.least)).toBe(10);
  });

  test('stops before the swap where that is asked, and says how to copy rows out', async () => {
    await databases.sql(names.apart, 'delete from orders');

    const result = await run('apart', { to, restoreOnly: true });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.differences.join()).not.toContain('lost:');
    expect(await databases.orders(names.apart)).toBe(0);
    const copy = await copyOf('apart', 'restore');
    expect(await databases.orders(copy ?? '')).toBe(10);
    const [next = ''] = result.next;
    expect(next).toContain(`DROP DATABASE ${identifier(copy ?? '')}`);
    const line = /pg_dump .*(?=; then)/.exec(next)?.[0].replace('TABLE', 'orders') ?? '';
    expect(line).toContain('postgres://postgres@');
    expect(JSON.stringify(result)).not.toContain('hunter2');
    await execa('bash', ['-o', 'pipefail', '-c', line], { env: { PGUSER: 'nobody' } });
    expect(await databases.orders(names.apart)).toBe(10);
  });

  test('is taken back by a later run that is approved as well', async () => {
    await databases.dump(names.undone, at);
    await databases.sql(names.undone, `insert into orders values (99, 'late')`);
    const id = await start('undone');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await databases.orders(names.undone)).toBe(10);
    await databases.sql(names.undone, `insert into orders values (98, 'since')`);

    const back = await run('undone', { undo: id });

    expect(back.outcome).toBe('rolled-back');
    expect(await databases.orders(names.undone)).toBe(11);
    expect(back.plan?.warnings.join('\n')).toContain('only in the database that is put aside');
    expect(back.plan?.differences.join('\n')).toContain('lost: public.orders: 1 row of created_at');
    const again = await env.result(await env.startAs('on-call', { database: 'undone', undo: id }));
    expect(again.outcome).toBe('refused');
    expect(again.message).toContain(
      `Run ${back.workflowId} has already undone what run ${id} swapped`,
    );
  });

  test('a second restore says that it throws away what was written since the first', async () => {
    await databases.dump(names.twice, at);
    const plan = async (more: object) =>
      (await env.result(await env.startAs('on-call', { database: 'twice', dryRun: true, ...more })))
        .plan;
    expect((await plan({ to }))?.warnings.join()).not.toContain('by restoring again');
    const { workflowId } = await run('twice');

    const again = await plan({ to });

    expect(again?.warnings[0]).toMatch(
      new RegExp(
        `was restored from this very backup by run ${workflowId} at 20[^ ]*Z: everything written since then is lost by restoring again`,
      ),
    );
    expect(again?.differences[0]).toMatch(
      new RegExp(`^lost: everything written since .*Z, when run ${workflowId} restored`),
    );
    const backup = await databases.dump(names.twice, new Date('2025-01-09T00:00:00Z'));
    const earlier = await plan({ backup });
    expect(earlier?.warnings[0]).toContain(`backup ${names.twice}_2025-01-10T14-30-00Z.dump by`);
    const beside = await plan({ to, restoreOnly: true });
    expect(beside?.warnings.join()).not.toContain('by restoring again');
    // What is younger than the restore has all that was written until then.
    const younger = await databases.dump(names.twice, new Date(Date.now() + 1000));
    const since = await plan({ backup: younger });
    expect(since?.differences.join()).not.toContain('everything written since');
    expect(since?.warnings.join()).not.toContain('by restoring again');
  });

  test('tells of every database that has a part of what was written, where there were swaps since', async () => {
    await databases.dump(names.thrice, at);
    const warnings = async (more: object) =>
      (
        await env.result(
          await env.startAs('on-call', { database: 'thrice', dryRun: true, ...more }),
        )
      ).plan?.warnings.join('\n');
    const asides = async () =>
      (await databases.names()).filter((name) => name.startsWith(`${names.thrice}_old_`));
    const first = await run('thrice');
    expect(await warnings({ undo: first.workflowId })).not.toContain('swaps since then');
    const [oldest = ''] = await asides();
    const second = await run('thrice');
    const [, newer = ''] = await asides();

    const undo = await warnings({ undo: first.workflowId });
    expect(undo).toContain(`${newer} (put aside at `);
    expect(undo).toContain(`by run ${second.workflowId})`);
    expect(undo).not.toContain(oldest);
    const again = await warnings({ to });
    expect(again).toMatch(/only in the database that is put aside, and in those that swaps since/);
    for (const name of [oldest, newer]) expect(again).toContain(name);
    const cli = new CommandLine({ ROLLBACK_CONFIG: env.settingsFile });
    const { stdout } = await cli.run('history', 'database/thrice');
    expect(stdout.indexOf(newer)).toBeLessThan(stdout.indexOf(oldest));

    for (const name of await asides()) {
      await databases.sql('postgres', `drop database ${identifier(name)}`);
    }
    expect(await warnings({ to })).toContain('may be gone: no database that a swap has put aside');
  });

  test('stops the services for it where that is asked, and clears what is cached', async () => {
    await databases.dump(names.served, at);
    await env.cluster.deploy('shop', 'wakala/api:1.0.0', 2);
    const cache = new Redis(process.env.REDIS_URL ?? '');
    await cache.mset('served-order:1', 'stale', 'served-session:1', 'stays');

    const result = await run('served', { to, stopFirst: true });

    expect(result.outcome).toBe('rolled-back');
    const cleared = 'cache shop (served-order:*): 1 key -> none';
    expect(result.plan?.differences).toContain(cleared);
    const namespace = result.plan?.changes[0]?.target.namespace;
    expect(result.plan?.differences).toContain(
      `stops: ${namespace}/shop, replicas 2 -> 0, and back after the swap`,
    );
    expect(result.steps.map(({ title }) => title)).toEqual([
      'Stop shop',
      'Restore the backup beside it',
      'Verify the copy',
      'Swap the databases',
      'Clear cache shop',
      'Start shop',
    ]);
    const { spec, status } = await env.cluster.deployment('shop');
    expect(spec?.replicas).toBe(2);
    expect(status?.availableReplicas).toBe(2);
    expect(await cache.mget('served-order:1', 'served-session:1')).toEqual([null, 'stays']);
    await cache.set('served-order:1', 'of the backup');
    const undo = { database: 'served', undo: result.workflowId, dryRun: true };
    const back = await env.result(await env.startAs('on-call', undo));
    expect(back.plan?.differences).toContain(cleared);
    await cache.del('served-order:1');
    await cache.del('served-session:1');
    await cache.quit();
  });

  test('a copy that answers wrongly is never switched to, and goes with an abort', async () => {
    await databases.dump(names.wrong, at);
    const paused = await env.untilPaused(await start('wrong'));
    expect(paused.plan?.differences).toContain(
      'verifies: the copy answers 11 to: select count(*) from orders',
    );
    expect(paused.pausedAt[0]?.error).toContain('The copy answers "10" and not 11');

    const result = await env.abort(paused);

    expect(result.outcome).toBe('aborted');
    expect(await databases.names()).toContain(names.wrong);
    expect(await copyOf('wrong', 'restore')).toBeUndefined();
    expect(await copyOf('wrong', 'old')).toBeUndefined();
  });

  test('a copy that says no, or nothing at all, is no right one', async () => {
    const dump = await databases.dump(names.asked, at);
    const progress = silentProgress();
    const ask = async (query: string) => {
      const asked = { url: databases.url(names.asked), backups: { folder: databases.folder } };
      const file = writeSettings({ databases: { asked: { ...asked, verify: [{ query }] } } });
      const loaded = loadSettings(file);
      // The query is what is tried here, and any database will do as a copy.
      const mandate = await restoreMandate(loaded.settings, 'asked', dump, names.asked);
      return verifyCopy(loaded, mandate, progress);
    };
    for (const no of ['count(*) > 10', 'count(*) - 10', 'null', `'f'`]) {
      await expect(ask(`select ${no} from orders`)).rejects.toThrow(
        'and not true, or more than 0 to: select',
      );
    }
    await expect(ask('select id from orders where id < 0')).rejects.toThrow('answers null');
    await expect(ask('delete from orders returning 1')).rejects.toThrow('read-only transaction');
    expect((await ask('select count(*) = 10 from orders')).text).toContain('1 queries are right');
  });

  test('services that were stopped for it are started again, even where its copy cannot be dropped', async () => {
    await databases.dump(names.halted, at);
    await env.cluster.deploy('halted', 'wakala/api:1.0.0', 2);
    const paused = await env.untilPaused(await start('halted', { to, stopFirst: true }));
    expect(paused.pausedAt[0]?.step).toBe('Verify the copy');
    expect((await env.cluster.deployment('halted')).spec?.replicas).toBe(0);
    const copy = (await copyOf('halted', 'restore')) ?? '';
    await databases.sql(copy, `begin; delete from orders; prepare transaction '${copy}'`);

    await env.client.workflow.getHandle(paused.workflowId).cancel();
    const held = await eventually('somebody is asked about the copy', async () => {
      const status = await env.status(paused.workflowId);
      return status.pausedAt[0]?.step.startsWith('Undo') && status;
    });
    expect(held.pausedAt[0]?.error).toContain('cannot be dropped');
    expect((await env.cluster.deployment('halted')).spec?.replicas).toBe(2);
    await env.decideStep(held, 'skip');
    const { outcome } = await env.result(paused.workflowId);

    expect(outcome).toBe('failed');
    expect(await databases.orders(copy)).toBe(10);
    expect((await env.cluster.deployment('halted')).spec?.replicas).toBe(2);
  });

  test('that an abort takes back clears the cache of what was read of the backup', async () => {
    await databases.dump(names.cached, at);
    await databases.sql(names.cached, `insert into orders values (99, 'late')`);
    await guarded.client.set('order:1', 'stale');
    const id = await env.startAs('on-call', { database: 'cached', to });
    await env.untilWaiting(id);
    // It lets nobody in who comes from now on.
    await guarded.client.config('SET', 'requirepass', 'another');
    await env.decide(id, 'approve', 'team-lead');
    const paused = await env.untilPaused(id);
    expect(paused.pausedAt[0]?.step).toBe('Clear cache guarded');
    expect(await databases.orders(names.cached)).toBe(10);
    await guarded.client.config('SET', 'requirepass', '');
    await guarded.client.set('order:99', 'not in the backup');

    expect((await env.abort(paused)).outcome).toBe('aborted');

    expect(await databases.orders(names.cached)).toBe(11);
    expect(await guarded.client.keys('*')).toEqual([]);
  });

  test('a database that somebody has made anew meanwhile is not put aside', async () => {
    await databases.dump(names.replaced, at);
    const id = await env.startAs('on-call', { database: 'replaced', to });
    await env.untilWaiting(id);
    const name = identifier(names.replaced);
    await databases.sql('postgres', `drop database ${name}`);
    await databases.create(names.replaced, 3);
    await env.decide(id, 'approve', 'team-lead');

    const paused = await env.untilPaused(id);

    expect(paused.pausedAt[0]?.error).toContain('is another one now than when the plan was made');
    expect((await env.abort(paused)).outcome).toBe('aborted');
    expect(await databases.orders(names.replaced)).toBe(3);
  });

  test('no row of the database reaches the history of a run', async () => {
    const id = await start('plain');
    await env.result(id);
    const history = await env.client.workflow.getHandle(id).fetchHistory();
    const payloads = JSON.stringify(history).replace(/"data":"([^"]+)"/g, (_, data: string) =>
      Buffer.from(data, 'base64').toString(),
    );
    expect(payloads.includes('public.orders')).toBe(true);
    expect(payloads.includes('secret 1')).toBe(false);
  });
});
