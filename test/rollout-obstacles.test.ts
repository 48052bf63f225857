import { describe, expect, test } from '@jest/globals';
import type { RunStatus } from '../src/contract/run.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const closedPort = { url: 'http://127.0.0.1:1/health', retries: 1, every: '100ms' };
const env = useRollbackEnvironment({
  services: {
    red: { deployment: 'red', checks: { health: closedPort } },
    regretted: { deployment: 'regretted', checks: { health: closedPort } },
  },
});
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

/** What every run must say that cannot finish, within the time that a person waits for it. */
function expectPausedInTime({ startedAt, steps, pausedAt }: RunStatus, reason: RegExp): void {
  expect(pausedAt[0]?.error).toMatch(reason);
  expect(pausedAt[0]?.error).toContain('cannot finish');
  expect(Date.now() - Date.parse(startedAt)).toBeLessThan(40_000);
  expect(steps.map(({ state }) => state)).toEqual(['done', 'paused']);
}

test.concurrent('an abort brings back even what cannot run, and says so', async () => {
  const crash = 'wakala/api:2.0.0-crash';
  await env.cluster.deploy('regretted', v1, 2);
  await env.cluster.release('regretted', crash, false);
  await env.cluster.pods('regretted', crash);
  const paused = await env.runUntilPaused({ deployment: 'regretted' });

  const result = await env.abort(paused);

  expect(result.outcome).toBe('aborted');
  expect(await env.cluster.image('regretted')).toBe(crash);
  expect(result.steps[0]?.text).toMatch(/The version that was left is back, .*CrashLoopBackOff/);
});

describe("going back to what cannot run fails soon, with the pod's own reason", () => {
  test.concurrent.each([
    ['crash', /container api: CrashLoopBackOff: back-off .* last exit code 1 \(Error\)/],
    ['pull', /container api: ImagePullBackOff: Back-off pulling image/],
  ])('an image that ends as %s', async (tag, reason) => {
    const image = `wakala/api:1.0.0-${tag}`;
    await env.cluster.kubectl('create', 'deployment', tag, `--image=${image}`, '--replicas=2');
    await env.cluster.release(tag, v2);

    const result = await env.runUntilPaused({ deployment: tag });

    expectPausedInTime(result, reason);
    expect(await env.cluster.image(tag)).toBe(image);
    // The version that was left still serves.
    const { status } = await env.cluster.deployment(tag);
    expect(status?.availableReplicas).toBe(2);
  });

  test.concurrent('pods that no node can take', async () => {
    const container = { resources: { requests: { cpu: '1k' } } };
    await env.cluster.apply([deploymentManifest('huge', v1, { container })]);
    await env.cluster.pods('huge', v1);
    await env.cluster.apply([deploymentManifest('huge', v2)]);
    await env.cluster.rollout('huge');

    const result = await env.runUntilPaused({ deployment: 'huge' });

    expectPausedInTime(result, /Unschedulable: .*Insufficient cpu/);
    expect(await env.cluster.image('huge')).toBe(v1);
  });

  test.concurrent('pods that the quota does not allow', async () => {
    const cluster = await env.anotherNamespace();
    const container = (cpu: string) => ({ container: { resources: { requests: { cpu } } } });
    await cluster.apply([deploymentManifest('costly', v1, container('2'))]);
    await cluster.rollout('costly');
    await cluster.apply([deploymentManifest('costly', v2, container('100m'))]);
    await cluster.rollout('costly');
    await cluster.limit('small', 'requests.cpu=1');

    const result = await env.runUntilPaused({ deployment: 'costly', namespace: cluster.namespace });

    expectPausedInTime(result, /FailedCreate: .*exceeded quota: small/);
    expect(await cluster.image('costly')).toBe(v1);
    expect((await cluster.deployment('costly')).status?.availableReplicas).toBeGreaterThan(0);
  });
});

describe('the bad version is not put back', () => {
  test.concurrent('because a check is red', async () => {
    await env.cluster.history('red', 2, v1, v2);

    const result = await env.runUntilPaused({ deployment: 'red', onFailure: 'compensate' });

    expect(result.message).toContain('health: 5 of 5 requests');
    expect(result.steps[0]?.state).toBe('done');
    expect(await env.cluster.image('red')).toBe(v1);
    const { status } = await env.cluster.deployment('red');
    expect(status).toMatchObject({ availableReplicas: 2, updatedReplicas: 2 });
  });

  test.concurrent('where it has no pod that serves either', async () => {
    const [crash, broken] = ['wakala/api:1.0.0-crash', 'wakala/api:2.0.0-broken'];
    await env.cluster.kubectl('create', 'deployment', 'worse', `--image=${crash}`, '--replicas=2');
    await env.cluster.pods('worse', crash);
    await env.cluster.release('worse', broken, false);
    await env.cluster.pods('worse', broken);

    const result = await env.runUntilPaused({ deployment: 'worse', onFailure: 'compensate' });

    expect(result.steps.map(({ state }) => state)).toEqual(['done', 'paused']);
    expect(await env.cluster.image('worse')).toBe(crash);
  });
});
