import { describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { Cluster, type Redis } from 'ioredis';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import type { CacheChange } from '../src/activities/redis/cache-change.ts';
import { clearCache } from '../src/activities/redis/clear-cache.ts';
import { planClearing } from '../src/activities/redis/plan-clearing.ts';
import { loadSettings } from '../src/config/settings.ts';
import { parseInput } from '../src/contract/input.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { historyText } from './support/features.ts';
import { mandateFor } from './support/mandates.ts';
import { RedisServer, startCluster } from './support/redis.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentProgress } from './support/silent-progress.ts';

const password = 'a-password-of-the-cache';
process.env.CACHE_PASSWORD = password;
process.env.WRONG_CACHE_PASSWORD = 'no-password-of-the-cache';
const [plain, glob, flushed, all, restarted, secret, nodes] = await Promise.all([
  RedisServer.start(),
  RedisServer.start(),
  RedisServer.start(),
  RedisServer.start(),
  RedisServer.start(),
  RedisServer.start([], password),
  startCluster(),
]);
const hanging = await RedisServer.start();
const asked = await RedisServer.start();
const replica = await RedisServer.start(['--replicaof', '127.0.0.1', String(plain.port)]);
const sentinel = await startSentinel(secret.port);
const { server: secure, ca } = await startSecure();
// May do everything but leave the database in which it begins.
await secret.client.acl('SETUSER', 'still', 'on', `>${password}`, '~*', '+@all', '-select');
const cluster = nodes.map(({ url }) => url);

const caches = {
  plain: { url: plain.url, prefixes: ['feature:', 'view:'] },
  bare: { url: plain.url },
  glob: { url: glob.url, prefixes: ['a*[b]?:\\^'] },
  flushed: { url: `${flushed.url}/2` },
  all: { url: all.url },
  asked: { url: asked.url },
  restarted: { url: restarted.url },
  hanging: { url: hanging.url, prefixes: ['feature:'] },
  replica: { url: replica.url, prefixes: ['feature:'] },
  part: { url: nodes[0]?.url, prefixes: ['feature:'] },
  cluster: { cluster, prefixes: ['feature:'] },
  secret: {
    sentinel: { master: 'main', nodes: ['redis://127.0.0.1:1', sentinel.url] },
    ...{ password: '${CACHE_PASSWORD}', prefixes: ['feature:'] },
  },
  misnamed: {
    sentinel: {
      master: 'mian',
      nodes: ['redis://127.0.0.1:1', sentinel.url, 'redis://127.0.0.1:2'],
    },
    prefixes: ['feature:'],
  },
  secure: { url: secure.url, tls: { ca }, prefixes: ['feature:'] },
  'no-ca': { url: secure.url, tls: { ca: 'nowhere.pem' }, prefixes: ['feature:'] },
  still: {
    ...{ url: `${secret.url}/2`, username: 'still', password: { env: 'CACHE_PASSWORD' } },
    prefixes: ['feature:'],
  },
  wrong: { url: secret.url, password: '${WRONG_CACHE_PASSWORD}', prefixes: ['feature:'] },
};
const env = useRollbackEnvironment({ caches }, { procedure: 'cache' });

async function startSentinel(port: number): Promise<RedisServer> {
  // Sentinels write into their settings.
  const file = settingsFileWith(
    `sentinel monitor main 127.0.0.1 ${port} 1\nsentinel auth-pass main ${password}\n`,
  );
  return RedisServer.start([], undefined, file);
}

/** A server with TLS alone, and the file of the CA that has signed it. */
async function startSecure() {
  const folder = mkdtempSync(join(tmpdir(), 'redis-tls-'));
  const [ca, key, cert] = ['ca.pem', 'key.pem', 'cert.pem'].map((name) => join(folder, name));
  const openssl = (args: string) => execa('openssl', args.split(' '));
  const made = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1`;
  await openssl(`${made} -subj /CN=ca -keyout ${folder}/ca.key -out ${ca}`);
  await openssl(
    `${made} -subj /CN=redis -addext subjectAltName=IP:127.0.0.1 -CA ${ca} -CAkey ${folder}/ca.key -keyout ${key} -out ${cert}`,
  );
  const files = { '--tls-cert-file': cert, '--tls-key-file': key, '--tls-ca-cert-file': ca };
  const args = Object.entries(files).flatMap(([name, file = '']) => [name, file]);
  const server = await RedisServer.startSecure([...args, '--tls-auth-clients', 'no'], ca ?? '');
  return { server, ca };
}

const fill = (client: Redis | Cluster, keys: string[]) =>
  Promise.all(keys.map((key) => client.set(key, 'x')));
const keysOf = async (client: Redis) => (await client.keys('*')).sort();

describe('clearing a cache by prefixes', () => {
  test.concurrent('leaves sessions and queues that share the database', async () => {
    const many = Array.from({ length: 2500 }, (_, index) => `feature:${index}`);
    const others = ['session:1', 'queue:mail', 'features', 'my-feature:1'];
    await fill(plain.client, [...many, 'view:home', ...others]);

    const result = await env.run({ cache: 'plain' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.summary).toContain(
      '2501 keys of cache plain (feature:*, view:*) are deleted',
    );
    expect(result.steps[0]?.text).toContain('2501 keys deleted');
    expect(await keysOf(plain.client)).toEqual(others.sort());
    const second = await env.run({ cache: 'plain' });
    expect(second.outcome).toBe('no-op');
  });

  test.concurrent('takes a prefix to the letter, whatever globs are in it', async () => {
    const others = ['axx[b]y:\\^1', 'ab?:\\^', 'a*b?:\\^1', 'a*[b]z:\\^1'];
    await fill(glob.client, ['a*[b]?:\\^1', 'a*[b]?:\\^two', ...others]);
    const result = await env.run({ cache: 'glob' });
    expect(result.outcome).toBe('rolled-back');
    expect(await keysOf(glob.client)).toEqual(others.sort());
  });

  test.concurrent('clears every master of a cluster', async () => {
    const client = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
    const keys = Array.from({ length: 300 }, (_, index) => `feature:${index}`);
    const others = Array.from({ length: 30 }, (_, index) => `session:${index}`);
    await fill(client, [...keys, ...others]);
    const left = async () => (await Promise.all(nodes.map((node) => keysOf(node.client)))).flat();

    const result = await env.run({ cache: 'cluster' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.message).toContain('on 3 masters');
    expect((await left()).sort()).toEqual(others.sort());
    const id = await env.start({ cache: 'cluster', flushAll: true });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');
    expect((await env.result(id)).steps[0]?.text).toContain('was emptied on 3 masters');
    expect(await left()).toEqual([]);
    client.disconnect();
  });

  test.concurrent('speaks TLS with whom a CA of the settings has signed', async () => {
    await fill(secure.client, ['feature:1', 'session:1']);
    expect((await env.run({ cache: 'secure' })).outcome).toBe('rolled-back');
    expect(await keysOf(secure.client)).toEqual(['session:1']);
  });

  test.concurrent('finds the master by its sentinels, and tells nobody the password', async () => {
    await fill(secret.client, ['feature:1', 'session:1']);
    const id = await env.start({ cache: 'secret' });
    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await keysOf(secret.client)).toEqual(['session:1']);
    expect(await historyText(env, id)).not.toContain(password);
  });
});

describe('is refused', () => {
  test.concurrent.each<[string, Record<string, unknown>, RegExp]>([
    ['on a replica, whose master is named', { cache: 'replica' }, /is a replica of 127\.0\.0\.1:/],
    [
      'on one node of a cluster',
      { cache: 'part' },
      /is one node of a cluster.*caches\.part\.cluster/,
    ],
    [
      'where nothing says what is only cached',
      { cache: 'bare' },
      /caches\.bare\.prefixes.*--flush/,
    ],
    ['where its CA is not there', { cache: 'no-ca' }, /nowhere\.pem cannot be read \(ENOENT\)/],
    [
      'where the account may not select the database that is meant, and clears no other one',
      { cache: 'still' },
      /Cache still .*NOPERM/,
    ],
    [
      'where no sentinel knows a master of that name',
      { cache: 'misnamed' },
      /sentinel of cache misnamed at 127\.0\.0\.1:\d+ knows no master of the name mian: correct caches\.misnamed\.sentinel\.master/,
    ],
    ['for a cache that the settings do not have', { cache: 'none' }, /There is no cache none/],
    ['where several are meant', {}, /several caches: name one of plain, bare/],
  ])('%s', async (_, input, words) => {
    const result = await env.run(input);
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
  });

  test.concurrent(
    'with a wrong password, and says what to renew but not the password',
    async () => {
      const id = await env.start({ cache: 'wrong' });
      const result = await env.result(id);
      expect(result.outcome).toBe('refused');
      expect(result.message).toMatch(/(WRONGPASS|NOAUTH).*Renew the credentials of caches\.wrong/);
      expect(await historyText(env, id)).not.toContain('no-password');
    },
  );

  test('where both flush and flushAll are asked for', async () => {
    const failure = await env.failure({ cache: 'all', flush: true, flushAll: true });
    expect(failure.message).toContain('Field "flushAll" empties more than flush');
  });
});

test.concurrent('a server that hangs ends the run as one that does not answer does', async () => {
  hanging.hang();
  const result = await env.run({ cache: 'hanging' });
  expect(result.outcome).toBe('unreachable');
  expect(result.message).toBe(
    `Cache hanging at 127.0.0.1:${hanging.port} does not answer (Command timed out).`,
  );
});

describe('flushing', () => {
  test.concurrent('empties the database of the settings only', async () => {
    await fill(flushed.client, ['other:1']);
    await flushed.client.select(2);
    await fill(flushed.client, ['session:1', 'session:2', 'feature:1']);

    const result = await env.run({ cache: 'flushed', flush: true });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.differences).toEqual(['database 2: 3 keys -> none: session: 2']);
    expect(await keysOf(flushed.client)).toEqual([]);
    await flushed.client.select(0);
    expect(await keysOf(flushed.client)).toEqual(['other:1']);
  });

  test.concurrent('asks whoever is at a terminal first, and shows what would go', async () => {
    await fill(asked.client, ['session:1', 'session:2']);
    const cli = new CommandLine({
      ...{ TEMPORAL_ADDRESS: env.temporal.address, TEMPORAL_NAMESPACE: 'default' },
      ...{ ROLLBACK_CONFIG: env.settingsFile, CACHE_PASSWORD: password },
    });

    const no = await cli.onTerminal('n\n', 'cache', 'asked', '--flush');

    expect(no.stdout).toMatch(/database 0: 2 keys -> none: session: 2\n/);
    expect(no.stdout).toContain('Empty the whole database of cache asked? [y/N]');
    expect(no.stdout).toMatch(/Nothing was started\.$/);
    expect(no.exitCode).toBe(1);
    expect(await keysOf(asked.client)).toHaveLength(2);

    const yes = await cli.onTerminal('y\n', 'cache', 'asked', '--flush');
    expect(yes).toMatchObject({ exitCode: 0 });
    expect(await keysOf(asked.client)).toEqual([]);
  });

  test.concurrent('all databases shows whose they are, and needs a team lead', async () => {
    await fill(all.client, ['feature:1']);
    await all.client.select(5);
    await fill(all.client, ['theirs:1', 'theirs:2']);

    const id = await env.start({ cache: 'all', flushAll: true });
    const waiting = await env.untilWaiting(id);

    expect(waiting.plan?.differences).toEqual([
      'database 0: 1 key -> none',
      'database 5: 2 keys -> none',
    ]);
    expect(waiting.plan?.warnings.join()).toContain('Database 5 is not the one of the settings');
    expect(waiting.authority?.missing).toContain('team-lead');
    expect(await keysOf(all.client)).toHaveLength(2);
    // What comes after that was shown to nobody.
    await all.client.select(7);
    await fill(all.client, ['newest:1']);
    await env.decide(id, 'approve', 'team-lead');
    const again = await eventually('it is planned again', async () => {
      const status = await env.status(id);
      return status.plannedAgain !== undefined && status.phase === 'awaiting-approval' && status;
    });
    expect(again.plannedAgain).toContain('has keys in database 7 by now');
    expect(again.plannedAgain).toContain('that needs a new plan');
    expect(await keysOf(all.client)).toEqual(['newest:1']);
    // Nor is it what was asked for when the run was started.
    await env.decide(id, 'approve', 'on-call');
    await env.decide(id, 'approve', 'team-lead');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await keysOf(all.client)).toEqual([]);
  });
});

test('keys that could not be counted in time are no empty cache', async () => {
  const server = await RedisServer.start();
  await fill(server.client, ['session:1']);
  const file = settingsFileWith(
    JSON.stringify({ caches: { huge: { url: server.url, prefixes: ['feature:'] } } }),
  );
  const input = parseInput('cache', {});
  const plan = await planClearing(new Clusters(), loadSettings(file), input, -1);
  expect(plan.changes).toHaveLength(1);
  expect(plan.summary).toContain('keys that could not be counted in time of cache huge');
});

describe('what the settings name only since the plan was made is nobody asked about, and stays:', () => {
  const progress = silentProgress();
  const loadedWith = (cache: object) =>
    loadSettings(settingsFileWith(JSON.stringify({ caches: { moved: cache } })));

  test('another database', async () => {
    const server = await RedisServer.start();
    for (const [database, key] of [
      [2, 'mine:1'],
      [3, 'theirs:1'],
    ] as const) {
      await server.client.select(database);
      await fill(server.client, [key]);
    }
    const planned = loadedWith({ url: `${server.url}/2` });
    const input = parseInput('cache', { flush: true });
    const { changes } = await planClearing(new Clusters(), planned, input);
    const mandate = mandateFor(changes[0] as CacheChange);

    const flushed = clearCache(loadedWith({ url: `${server.url}/3` }), mandate, progress);

    await expect(flushed).rejects.toThrow('the settings name database 3, and 2 was planned');
    expect(await keysOf(server.client)).toEqual(['theirs:1']);
  });

  test('other keys', async () => {
    const server = await RedisServer.start();
    const { url } = server;
    await fill(server.client, ['feature:1', 'session:1']);
    const planned = loadedWith({ url, prefixes: ['feature:'] });
    const { changes } = await planClearing(new Clusters(), planned, parseInput('cache', {}));
    const mandate = mandateFor(changes[0] as CacheChange);

    const now = loadedWith({ url, prefixes: ['feature:', 'session:'] });
    const cleared = clearCache(now, mandate, progress);

    await expect(cleared).rejects.toThrow('the settings name other keys');
    expect(await keysOf(server.client)).toEqual(['feature:1', 'session:1']);
  });
});

test('a server that repeats what it was sent makes nobody tell the password', async () => {
  const server = await RedisServer.start(['--rename-command', 'AUTH', 'HIDDEN']);
  const { url } = server;
  const file = settingsFileWith(
    JSON.stringify({
      caches: { odd: { url, password: { env: 'CACHE_PASSWORD' }, prefixes: ['feature:'] } },
    }),
  );
  const planned = planClearing(new Clusters(), loadSettings(file), parseInput('cache', {}));
  const message = await planned.then(
    () => 'planned',
    (error: Error) => error.message,
  );
  expect(message).toContain('ERR unknown command');
  expect(message).not.toContain(password);
});

test('a cache of which some keys may not be deleted is no cleared cache', async () => {
  const server = await RedisServer.start([], password);
  await server.client.acl('SETUSER', 'half', 'on', `>${password}`, '~feature:mine:*', '+@all');
  await fill(server.client, ['feature:mine:1', 'feature:theirs:1']);
  const cache = { url: server.url, username: 'half', password: { env: 'CACHE_PASSWORD' } };
  const loaded = loadSettings(
    settingsFileWith(JSON.stringify({ caches: { half: { ...cache, prefixes: ['feature:'] } } })),
  );
  const { changes } = await planClearing(new Clusters(), loaded, parseInput('cache', {}));

  const cleared = clearCache(loaded, mandateFor(changes[0] as CacheChange), silentProgress());

  await expect(cleared).rejects.toThrow(/NOPERM.*key/);
  expect(await keysOf(server.client)).toEqual(['feature:theirs:1']);
});

test('a server that was restarted since the plan is not emptied', async () => {
  await fill(restarted.client, ['before:1']);
  const id = await env.start({ cache: 'restarted', flush: true }, undefined, 'nobody');
  await env.untilWaiting(id);
  await restarted.down();
  await restarted.up();
  await fill(restarted.client, ['after:1', 'after:2']);

  await env.decide(id, 'approve', 'on-call');
  const again = await env.untilWaiting(id);

  expect(again.plannedAgain).toContain('was restarted since');
  expect(await keysOf(restarted.client)).toEqual(['after:1', 'after:2']);
  await env.decide(id, 'reject', 'on-call', { note: 'enough' });
  await env.result(id);
});

test('the plan as commands clears the same by hand, however often they are run', async () => {
  const server = await RedisServer.start([], password);
  await fill(server.client, ['feature:1', 'it has: blanks', 'feature:a b', 'session:1']);
  await fill(server.client, ['feature:two\nlines', 'feature:"quoted" $HOME', "feature:it's"]);
  const { url } = server;
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(
      JSON.stringify({
        caches: {
          mine: { url, password: { env: 'CACHE_PASSWORD' }, prefixes: ['feature:', 'it has:'] },
        },
      }),
    ),
  });
  const { stdout } = await cli.run('plan', 'cache', '--commands');
  expect(stdout).not.toContain(password);

  const without = await execa('sh', { input: stdout, reject: false, env: { CACHE_PASSWORD: '' } });
  expect(without.stderr).toContain('set it to the password of cache mine');
  for (let times = 0; times < 2; times++) {
    await execa('sh', { input: stdout });
  }

  expect(await keysOf(server.client)).toEqual(['session:1']);
  await server.down();
  const gone = await execa('sh', { input: stdout, reject: false });
  expect([gone.exitCode, gone.stderr]).toEqual([1, expect.stringContaining('Not all keys')]);
});

test('the plan as commands asks one sentinel after the other', async () => {
  await fill(secret.client, ['feature:2']);
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(JSON.stringify({ caches: { main: caches.secret } })),
  });
  const { stdout } = await cli.run('plan', 'cache', '--commands');
  await execa('sh', { input: stdout, env: { REDISCLI_AUTH: password } });
  expect(await keysOf(secret.client)).not.toContain('feature:2');
});
