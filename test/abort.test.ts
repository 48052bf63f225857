/** A run is ended by somebody while it acts, and not only where it has failed. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { HealthServer } from './support/health-server.ts';
import { RedisServer } from './support/redis.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, broken, v3] = ['wakala/api:1.0.0', 'wakala/api:broken', 'wakala/api:3.0.0'];
const server = new HealthServer();
await server.start();
const redis = await RedisServer.start();
const health = { url: server.url, requests: 2, retries: 0, every: '50ms' };
const smoke = { command: ['false'], retries: 0 };
const env = useRollbackEnvironment({
  services: { checked: { deployment: 'checked', checks: { health, smoke } } },
  caches: { mine: { url: redis.url } },
  authority: { retriesToldAfter: '300ms' },
});
beforeAll(() => {
  server.answer = () => 500;
});
afterAll(() => server.stop());

/** A run that waits for pods which never become ready. */
async function actingRun(deployment: string) {
  await env.cluster.history(deployment, 2, v1);
  await env.cluster.release(deployment, broken, false);
  await env.cluster.release(deployment, v3);
  const id = await env.start({ deployment, toRevision: 2 });
  await eventually('it waits for pods', async () => {
    const { steps } = await env.status(id);
    return steps.some(({ title, state }) => title.startsWith('Wait') && state === 'running');
  });
  return id;
}

describe('a run that acts', () => {
  test('is ended at once by somebody who may decide about it, and takes back what it did', async () => {
    const id = await actingRun('acting');
    expect(await env.cluster.image('acting')).toBe(broken);

    const answer = await env.decide(id, 'abort', 'on-call-2', { note: 'it is the wrong one' });
    expect(answer).toEqual({
      counted: true,
      text: 'on-call-2 decided: abort the run: it is the wrong one.',
    });

    const result = await env.result(id);
    expect(result).toMatchObject({
      outcome: 'aborted',
      message: 'on-call-2 aborted the run: it is the wrong one.',
      next: [],
    });
    expect(result.steps.map(({ title, state }) => `${title} ${state}`)).toEqual([
      'Restore the pod template undone',
      'Wait for every replica failed',
      'Hand the Deployment back done',
    ]);
    expect(await env.cluster.image('acting')).toBe(v3);
    await env.untilFree('acting');
  });

  test('goes on where whoever says so may not, or has not signed it', async () => {
    const id = await actingRun('forged');
    const token = await env.token(id, 'abort', 'on-call');
    const ofStep = await env.token(id, 'abort', 'on-call', { step: 'Restore', attempt: 1 });

    expect(await env.decide(id, 'abort', 'cto')).toMatchObject({
      ...{ counted: false, text: expect.stringContaining('cto has none of the roles') },
    });
    expect((await env.send(id, { decision: 'abort' })).text).toContain('needs a signed token');
    expect((await env.send(id, { decision: 'abort', token: ofStep })).text).toBe(
      'The token is about attempt 1 of step "Restore", not about the whole plan.',
    );
    expect((await env.send(id, { decision: 'skip', token })).counted).toBe(false);
    expect((await env.status(id)).phase).toBe('executing');

    expect((await env.send(id, { decision: 'abort', token })).counted).toBe(true);
    expect((await env.result(id)).outcome).toBe('aborted');
  });

  test('is ended although no worker is there when somebody says so', async () => {
    const id = await actingRun('asleep');
    const token = await env.token(id, 'abort', 'on-call');
    await env.stopWorker();
    await env.client.workflow.getHandle(id).signal('abort', { token });
    await env.startWorker();
    expect((await env.result(id)).outcome).toBe('aborted');
    expect(await env.cluster.image('asleep')).toBe(v3);
  });

  test('that is paused at two checks is aborted as one', async () => {
    await env.cluster.history('checked', 2, v1, v3);
    const { workflowId } = await env.runUntilPaused({ deployment: 'checked' });
    await eventually('it is paused at both', async () => {
      return (await env.status(workflowId)).pausedAt.length === 2;
    });
    expect((await env.decide(workflowId, 'abort', 'on-call')).counted).toBe(true);
    expect((await env.result(workflowId)).outcome).toBe('aborted');
    expect(await env.cluster.image('checked')).toBe(v3);
  });
});

test('a run that waits for its turn is ended with nothing changed', async () => {
  await env.cluster.history('queued', 2, v1, v3);
  await env.occupy('queued');
  const id = await env.start({ deployment: 'queued', wait: '10m' });
  await eventually('it waits', async () => (await env.status(id)).message.startsWith('Waiting:'));

  expect((await env.decide(id, 'abort', 'on-call')).counted).toBe(true);

  expect(await env.result(id)).toMatchObject({
    ...{ outcome: 'aborted', message: 'on-call aborted the run.', next: ['Nothing was changed.'] },
  });
});

test('a run whose target is busy says how the one that holds it is ended', async () => {
  const id = await actingRun('held');
  const { outcome, next } = await env.run({ deployment: 'held' });
  expect(outcome).toBe('busy');
  expect(next[1]).toContain(`rollback abort ${id}`);
  await env.decide(id, 'abort', 'on-call');
  await env.result(id);
});

describe('a cache that goes away while it is flushed', () => {
  test('is told to the on-call engineer, and the run says what it may have done when it is aborted', async () => {
    await redis.client.set('key', 'x');
    const input = { cache: 'mine', flushAll: true };
    const id = await env.startAs('on-call', input, undefined, 'cache');
    await env.untilWaiting(id);
    expect((await env.decide(id, 'abort', 'on-call')).text).toContain('reject one that waits');
    await redis.down();
    await env.decide(id, 'approve', 'team-lead');

    const told = await eventually('somebody is told', () => {
      const notices = env.told.filter(({ text }) => text.includes('again and again'));
      return Promise.resolve(notices[0]);
    });
    expect(told).toMatchObject({ workflowId: id, roles: ['on-call'], urgent: true });
    expect(told.text).toContain(`127.0.0.1:${redis.port} does not answer`);
    expect(told.text).toContain(`rollback abort ${id}`);

    expect((await env.decide(id, 'abort', 'on-call')).counted).toBe(true);
    const { outcome, next } = await env.result(id);
    expect(outcome).toBe('failed');
    expect(next[0]).toContain('Flush the cache: It was cut short, and may have done a part.');
    expect(next.at(-1)).toContain('rollback cache');
  });
});
