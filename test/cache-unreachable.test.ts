import { expect, test } from '@jest/globals';
import { ActivityFailure, TimeoutFailure } from '@temporalio/common';
import { Cluster } from 'ioredis';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import type { CacheChange } from '../src/activities/redis/cache-change.ts';
import { clearCache } from '../src/activities/redis/clear-cache.ts';
import { CacheUnreachable } from '../src/activities/redis/errors.ts';
import { planClearing } from '../src/activities/redis/plan-clearing.ts';
import { loadSettings } from '../src/config/settings.ts';
import { parseInput } from '../src/contract/input.ts';
import { messageOf, outcomeBeforeAnyChange } from '../src/workflows/run/outcome.ts';
import { settingsFileWith } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { RedisServer, startCluster } from './support/redis.ts';
import { relayTo } from './support/relay.ts';
import { silentProgress } from './support/silent-progress.ts';

const loadedWith = (cache: object) =>
  loadSettings(
    settingsFileWith(
      JSON.stringify({ caches: { mine: { prefixes: ['feature:'], timeout: '1s', ...cache } } }),
    ),
  );

async function planned(loaded: ReturnType<typeof loadedWith>) {
  const { changes } = await planClearing(new Clusters(), loaded, parseInput('cache', {}));
  return mandateFor(changes[0] as CacheChange);
}

/** Clears until `isDone`; answers what was said where it failed, and how long the longest of it took. */
async function clearUntil(
  clear: () => Promise<unknown>,
  isDone: () => boolean,
): Promise<{ messages: Set<string>; longestMs: number }> {
  const messages = new Set<string>();
  let longestMs = 0;
  while (!isDone()) {
    const began = Date.now();
    const error = await clear().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    longestMs = Math.max(longestMs, Date.now() - began);
    expect(error).toBeInstanceOf(CacheUnreachable);
    messages.add((error as Error).message);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return { messages, longestMs };
}

test.each<[string, (node: RedisServer) => unknown, (node: RedisServer) => unknown]>([
  ['is killed', (node) => node.down(), (node) => node.up()],
  ['hangs', (node) => node.hang(), (node) => node.goOn()],
])(
  'a node of a cluster that %s while it is cleared is told in time, and cleared once it is back',
  async (_, lose, begin) => {
    const nodes = await startCluster(['--cluster-node-timeout', '1500']);
    const lost = nodes[1] as RedisServer;
    const client = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
    await Promise.all(Array.from({ length: 20_000 }, (__, id) => client.set(`feature:${id}`, 1)));
    client.disconnect();
    const loaded = loadedWith({ cluster: nodes.map(({ url }) => url) });
    const mandate = await planned(loaded);
    let isLost = false;
    const progress = {
      ...silentProgress(),
      report() {
        if (!isLost) void lose(lost);
        isLost = true;
      },
    };

    // Until the others have noticed it, and beyond.
    const enough = Date.now() + 7000;
    const { messages, longestMs } = await clearUntil(
      () => clearCache(loaded, mandate, progress),
      () => Date.now() > enough,
    );

    const whose = new RegExp(`127\\.0\\.0\\.1:${lost.port} does not answer`);
    for (const message of messages) expect(message).toMatch(whose);
    expect([...messages].join()).toMatch('that is not whole');
    expect(longestMs).toBeLessThan(5000);
    await begin(lost);
    await eventually('it is cleared', () =>
      clearCache(loaded, mandate, progress).catch(() => false),
    );
    const left = await Promise.all(nodes.map((node) => node.client.dbsize()));
    expect(left).toEqual([0, 0, 0]);
  },
);

test('a cluster of which no node is left is one that does not answer', async () => {
  const nodes = await startCluster();
  await Promise.all(nodes.map((node) => node.down()));
  const loaded = loadedWith({ cluster: nodes.map(({ url }) => url) });
  await expect(planned(loaded)).rejects.toThrow(CacheUnreachable);
});

test('a connection that breaks in the middle of many answers is no cancelled activity', async () => {
  const server = await RedisServer.start();
  const keys = Array.from({ length: 900 }, (_, index) => `feature:${index}`);
  await Promise.all(keys.map((key) => server.client.set(key, 1)));
  const relay = await relayTo(server.url, 0, ':1\r\n'.repeat(100));
  const loaded = loadedWith({ url: relay.address.replace('https', 'redis') });
  const mandate = await planned(loaded);
  const cleared = clearCache(loaded, mandate, silentProgress());
  await expect(cleared).rejects.toThrow(CacheUnreachable);
  relay.close();
});

test('a server that hangs is told within the time for one answer', async () => {
  const server = await RedisServer.start();
  server.hang();
  const began = Date.now();
  await expect(planned(loadedWith({ url: server.url }))).rejects.toThrow(
    `127.0.0.1:${server.port} does not answer`,
  );
  expect(Date.now() - began).toBeLessThan(1900);
  server.goOn();
});

test('a plan whose time is up without a word is one that was not reached', () => {
  const timeout = new TimeoutFailure(
    'activity ScheduleToClose timeout',
    undefined,
    'SCHEDULE_TO_CLOSE',
  );
  const of = ['redis.planClearing', '1', 'TIMEOUT', 'worker', timeout] as const;
  const failure = new ActivityFailure('Activity task timed out', ...of);
  expect(outcomeBeforeAnyChange(failure)).toBe('unreachable');
  expect(messageOf(failure)).toMatch(/^No answer in time: redis\.planClearing .*rollback doctor/);
});
