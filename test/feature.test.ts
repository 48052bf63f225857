import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { lookAt } from '../src/client/run-status.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import {
  closedGateway,
  exampleSettings,
  Gateway,
  historyText,
  served,
  setFlag,
  stored,
  systemAt,
} from './support/features.ts';
import { RedisServer } from './support/redis.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const gateway = await Gateway.open();
const own = await RedisServer.start();
const replica = await RedisServer.start(['--replicaof', '127.0.0.1', String(own.port)]);
const nowhere = (await closedGateway()).url;
process.env.WRONG_ADMIN_TOKEN = 'a-token-that-is-wrong';
process.env.SPLIT_TOKEN = 'first-part-of-a-token\nand-another';

const wakala = process.env.WAKALA_URL ?? '';
const cached = (name: string) => ({ cache: { name, keys: ['feature:{name}'] } });
const shipped = exampleSettings();
const caches = {
  ...shipped.caches,
  own: { url: own.url },
  replica: { url: replica.url },
  gone: { url: 'redis://127.0.0.1:1' },
};
const readBack = { requests: 3, every: '50ms', limit: '400ms' };
const features = {
  ...shipped.features,
  gateway: systemAt(gateway.url),
  hasty: systemAt(gateway.url, { readBack }),
  // A cache that nobody reads the flags of, so that theirs is never cleared.
  stubborn: systemAt(wakala, { ...cached('own'), readBack }),
  'wrong-token': systemAt(wakala, {
    headers: { authorization: { env: 'WRONG_ADMIN_TOKEN', prefix: 'Bearer ' } },
  }),
  'split-token': systemAt(wakala, { headers: { authorization: { env: 'SPLIT_TOKEN' } } }),
  'no-token': systemAt(wakala, { headers: { authorization: { env: 'NO_SUCH_TOKEN' } } }),
  replica: systemAt(wakala, cached('replica')),
  gone: systemAt(wakala, cached('gone')),
  own: systemAt(gateway.url, cached('own')),
};
const env = useRollbackEnvironment({ caches, features }, { procedure: 'feature' });
const cache = new Redis(process.env.REDIS_URL ?? '');
const settings = settingsFileWith(stringify({ caches, features }));
const cli = new CommandLine({ ROLLBACK_CONFIG: settings });
afterAll(() => {
  gateway.close();
  cache.disconnect();
});

const on = { enabled: true, rollout_percentage: 100 };
const off = { enabled: false, rollout_percentage: 0 };
let count = 0;
let feature = '';
beforeEach(() => {
  gateway.instead = () => undefined;
  gateway.seen.length = 0;
  feature = `flow_${++count}`;
});

/** Runs with the settings as they are shipped, but for other systems of the test. */
const run = (system = 'wakala', more = {}) => env.run({ feature, system, ...more });

describe('turning a feature off', () => {
  test('is seen by everybody at once, and leaves all else in the cache', async () => {
    await setFlag(feature, on);
    expect(await served(feature)).toEqual(on);
    await cache.mset('session:1', 'a session', 'feature:another', 'cached');

    const id = await env.start({ feature, system: 'wakala' });
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.summary).toBe(
      `Feature ${feature} in wakala goes from on for all to off, and cache wakala is cleared of it.`,
    );
    expect(result.plan?.differences).toEqual([
      `${feature}: on for all -> off`,
      `cache wakala, feature:${feature}: 1 key -> none`,
    ]);
    expect(result.steps.map(({ title }) => title)).toEqual([
      'Turn the feature off',
      'Clear the cache',
      'Read it back',
    ]);
    expect([await stored(feature), await served(feature)]).toEqual([off, off]);
    expect(await cache.mget('session:1', 'feature:another')).toEqual(['a session', 'cached']);
    const history = await historyText(env, id);
    expect(history).toContain(feature);
    expect(history).not.toContain(process.env.WAKALA_ADMIN_TOKEN);
  });

  test('that is enabled for 0 % is off afterwards, and twice changes nothing more', async () => {
    await setFlag(feature, { enabled: true, rollout_percentage: 0 });
    expect((await run()).plan?.differences[0]).toBe(`${feature}: on at 0 % -> off`);
    expect(await stored(feature)).toEqual(off);
    const again = await run();
    expect(again.outcome).toBe('no-op');
    expect(again.message).toContain('is already off, and read as off');
  });

  test.each<[string, number | { text: string }, string]>([
    ['broken', 500, 'cannot be told'],
    ['wrong', 404, 'answers 404'],
    ['a page', { text: '<html>' }, 'answers no JSON'],
  ])('whose public address is %s is turned off all the same', async (_, answer, words) => {
    await setFlag(feature, on);
    let publicReads = 0;
    gateway.instead = ({ method, url = '' }) => {
      // A change may be answered with any words.
      if (method === 'PATCH') return setFlag(feature, off).then(() => ({ text: 'changed' }));
      if (!url.startsWith('/features/')) return undefined;
      // Of the plan, and a whole round of the reading back.
      return ++publicReads <= 4 ? answer : undefined;
    };

    const result = await run('gateway');

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join()).toContain(words);
    expect(await stored(feature)).toEqual(off);
    expect(publicReads).toBe(10);
  });

  test('is cleared again where a reader has put it back into the cache meanwhile', async () => {
    await setFlag(feature, on);
    await served(feature);
    const old = (await cache.get(`feature:${feature}`)) ?? '';
    let changed = false;
    gateway.instead = async ({ method, url = '' }) => {
      if (method === 'PATCH') changed = true;
      if (changed && url.startsWith('/features/')) {
        changed = false;
        await cache.set(`feature:${feature}`, old);
      }
      return undefined;
    };

    const result = await run('gateway');

    expect(result.outcome).toBe('rolled-back');
    expect((await served(feature))?.enabled).toBe(false);
  });

  test('that is off at its source, but served on, clears the cache and no more', async () => {
    await setFlag(feature, on);
    await served(feature);
    await setFlag(feature, { enabled: false });
    expect(await served(feature)).toEqual(on);

    const result = await run('gateway');

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.changes.map(({ kind }) => kind)).toEqual(['cache/clear']);
    expect(result.steps.map(({ title }) => title)).toEqual(['Clear the cache', 'Read it back']);
    expect(gateway.seen.filter((one) => one.startsWith('PATCH'))).toEqual([]);
    expect((await served(feature))?.enabled).toBe(false);
  });

  test('whose public address still says on is no success, and abort puts it back exactly', async () => {
    const before = { enabled: true, rollout_percentage: 40 };
    await setFlag(feature, before);
    await served(feature);

    const paused = await env.runUntilPaused({ feature, system: 'stubborn' });

    expect(paused.pausedAt[0]?.step).toBe('Read it back');
    expect(paused.message).toMatch(/3 of 3 requests do not see the change \(on at 40 %\)/);
    expect(await stored(feature)).toEqual(off);
    const result = await env.abort(paused);
    expect(result.outcome).toBe('aborted');
    expect([await stored(feature), await served(feature)]).toEqual([before, before]);
  });

  test('that an abort puts back is on for those as well who have read it as off', async () => {
    await setFlag(feature, on);
    let isChanged = false;
    gateway.instead = ({ method, url = '' }) => {
      if (method === 'PATCH') isChanged = true;
      return isChanged && url.startsWith('/features/') ? 500 : undefined;
    };
    const paused = await env.runUntilPaused({ feature, system: 'hasty' });
    expect(paused.pausedAt[0]?.step).toBe('Read it back');
    gateway.instead = () => undefined;
    // It is cached now.
    expect(await served(feature)).toEqual(off);

    expect((await env.abort(paused)).outcome).toBe('aborted');

    expect([await stored(feature), await served(feature)]).toEqual([on, on]);
  });

  test('is not taken back by a run that is cancelled', async () => {
    await setFlag(feature, on);
    await served(feature);
    const paused = await env.runUntilPaused({ feature, system: 'stubborn' });
    await env.client.workflow.getHandle(paused.workflowId).cancel();
    const result = await env.result(paused.workflowId);
    expect(result.outcome).toBe('failed');
    expect(result.next.join()).toContain('only a signed abort puts it back to on for all');
    expect(await stored(feature)).toEqual(off);
  });

  test('of a flag that somebody else has changed since the plan asks again', async () => {
    await setFlag(feature, on);
    const id = await env.start({ feature, system: 'wakala' }, undefined, 'nobody');
    await env.untilWaiting(id);
    await setFlag(feature, { rollout_percentage: 30 });

    await env.decide(id, 'approve', 'on-call');
    const again = await eventually('it is planned again', async () => {
      const status = await env.status(id);
      const isAgain = status.plannedAgain !== undefined;
      return isAgain && status.phase === 'awaiting-approval' && status;
    });

    expect(again.plannedAgain).toContain('it is on at 30 %');
    expect(await stored(feature)).toEqual({ enabled: true, rollout_percentage: 30 });
    await env.decide(id, 'approve', 'on-call');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await stored(feature)).toEqual(off);
  });
});

describe('is refused, and nothing is changed', () => {
  test('for a flag that nobody has, which is not made by it', async () => {
    const result = await run();
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`There is no feature ${feature} in wakala`);
    expect(await stored(feature)).toBeUndefined();
  });

  test.each([
    ['wrong-token', /answers 401: .*Renew \$WRONG_ADMIN_TOKEN\./],
    ['split-token', /The environment variable SPLIT_TOKEN has line breaks/],
    ['no-token', /The environment variable NO_SUCH_TOKEN is not set/],
    ['replica', /is a replica of 127\.0\.0\.1:\d+, and nothing can be deleted there/],
    ['nowhere', /There is no system of feature flags nowhere: the settings have wakala/],
  ])('with %s', async (system, words) => {
    await setFlag(feature, on);
    const id = await env.start({ feature, system });
    const result = await env.result(id);
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
    expect(await stored(feature)).toEqual(on);
    expect(await historyText(env, id)).not.toMatch(/a-token-that-is-wrong|first-part/);
  });

  test.each(['../../admin', 'a b', 'a/b', '..', '{name}', ''])('for the name %j', async (name) => {
    const failure = await env.failure({ feature: name, system: 'wakala' });
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toContain('Field "feature" is not the name of a feature flag');
  });
});

test('a system that repeats the token in what it answers makes nobody tell it', async () => {
  await setFlag(feature, on);
  gateway.instead = ({ method, headers }) =>
    method === 'PATCH' ? { status: 400, text: `not for ${headers.authorization}` } : undefined;

  const paused = await env.runUntilPaused({ feature, system: 'gateway' });

  expect(paused.message).toContain('answers 400: not for Bearer …');
  expect((await env.abort(paused)).outcome).toBe('aborted');
  expect(await historyText(env, paused.workflowId)).not.toContain(process.env.WAKALA_ADMIN_TOKEN);
  expect(await stored(feature)).toEqual(on);
});

describe('what does not answer', () => {
  test('before anything was changed is exit code 5, in a sentence', async () => {
    await setFlag(feature, on);
    const ended = await cli.run('plan', 'feature', feature, '--system', 'gone');
    expect(ended.exitCode).toBe(5);
    expect(ended.stderr).toMatch(/Cache gone at 127\.0\.0\.1:1 does not answer .*--keep-cache/);
    const system = systemAt(nowhere, { cache: undefined });
    const down = cli.with({
      ROLLBACK_CONFIG: settingsFileWith(stringify({ features: { system } })),
    });
    const noApi = await down.run('plan', 'feature', feature);
    expect(noApi.exitCode).toBe(5);
    expect(noApi.stderr).toMatch(
      /Feature system system \(GET http:.*does not answer \(ECONNREFUSED\)/,
    );
  });

  test('for a while lets everybody look at the run meanwhile', async () => {
    await setFlag(feature, on);
    const answers = Promise.withResolvers<undefined>();
    gateway.instead = () => answers.promise;
    const id = await env.start({ feature, system: 'gateway' });
    const run = env.client.workflow.getHandle(id);
    await eventually('the plan has told that it lives', async () => {
      const { raw } = await run.describe();
      return raw.pendingActivities?.some(({ heartbeatDetails }) => heartbeatDetails);
    });

    const { status, progress } = await lookAt(env, run);
    expect(status?.phase).toBe('planning');
    expect(progress).toHaveLength(0);

    answers.resolve(undefined);
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('does not keep a feature on: without its cache it can be turned off all the same', async () => {
    await setFlag(feature, on);
    const id = await env.start({ feature, system: 'gone', keepCache: true });
    await untilReadBack(id);
    expect(await stored(feature)).toEqual(off);
    await expire();
    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join()).toContain('Cache gone is not cleared');
  });

  test('once is asked again, and a change whose answer was lost is not made twice', async () => {
    await setFlag(feature, on);
    let patches = 0;
    gateway.instead = ({ method }) => {
      if (method !== 'PATCH' || ++patches > 3) return undefined;
      return patches === 1 ? 503 : 'cut';
    };
    // The last one that is cut has had its effect all the same.
    gateway.instead = cutAfterEffect(gateway.instead);

    const result = await run('gateway');

    expect(result.outcome).toBe('rolled-back');
    expect(patches).toBe(3);
    expect(result.steps[0]?.text).toBe(`Feature ${feature} in gateway is off.`);
    expect(await stored(feature)).toEqual(off);
  });

  test('while the cache is gone, the run waits for it and goes on', async () => {
    await setFlag(feature, on);
    gateway.instead = ({ method }) =>
      method === 'PATCH' ? own.down().then(() => undefined) : undefined;

    const id = await env.start({ feature, system: 'own' });
    await eventually('the cache is asked for in vain', async () => {
      const { raw } = await env.client.workflow.getHandle(id).describe();
      return raw.pendingActivities?.some(({ lastFailure }) =>
        lastFailure?.message?.includes('does not answer'),
      );
    });
    expect((await env.status(id)).steps.at(-1)?.title).toBe('Clear the cache');
    await own.up();
    await untilReadBack(id);
    await expire();

    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await stored(feature)).toEqual(off);
  });
});

/** What the company's cache has of the flag is gone, as it is by itself after a minute. */
const expire = () => cache.del(`feature:${feature}`);

const untilReadBack = (id: string) =>
  eventually('it is read back', async () =>
    (await env.status(id)).steps.some(({ title }) => title === 'Read it back'),
  );

/** Lets the third change through before its answer is cut. */
function cutAfterEffect(instead: Gateway['instead']): Gateway['instead'] {
  let cut = 0;
  return (request) => {
    const answer = instead(request);
    if (answer !== 'cut' || ++cut < 2) return answer;
    return setFlag(feature, off).then(() => 'cut');
  };
}

test('the plan as commands turns it off by hand, however often they are run', async () => {
  await setFlag(feature, on);
  await served(feature);
  const { stdout } = await cli.run('plan', 'feature', feature, '--system', 'wakala', '--commands');
  expect(stdout).toContain('Bearer $WAKALA_ADMIN_TOKEN');
  expect(stdout).not.toContain(process.env.WAKALA_ADMIN_TOKEN);

  for (let times = 0; times < 2; times++) await execa('sh', { input: stdout });

  expect([await stored(feature), await served(feature)]).toEqual([off, off]);
  await setFlag(feature, { enabled: true, rollout_percentage: 20 });
  const late = await execa('sh', { input: stdout, reject: false });
  expect(late.stderr).toContain(`Feature ${feature} was changed since`);
  expect((await stored(feature))?.enabled).toBe(true);
});
