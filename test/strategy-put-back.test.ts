import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [never, crash] = ['wakala/api:1.0.0-broken', 'wakala/api:1.0.0-crash'];
const [good, next] = ['wakala/api:2.0.0', 'wakala/api:3.0.0'];
const own = { maxSurge: 1, maxUnavailable: 0 };

/** A Deployment whose first revision has the image `first`, and whose second is good. */
async function make(name: string, first: string): Promise<void> {
  await env.cluster.kubectl('create', 'deployment', name, `--image=${first}`, '--replicas=2');
  await env.cluster.patch(name, { spec: { strategy: { rollingUpdate: own } } });
  await env.cluster.release(name, good);
}

async function strategyOf(name: string): Promise<unknown> {
  return (await env.cluster.deployment(name)).spec?.strategy?.rollingUpdate;
}

/** Waits until the strategy is raised, and the pods of `image` are being made. */
async function untilRaised(name: string, image: string): Promise<void> {
  await eventually(`the strategy of ${name} is raised`, async () => {
    const rollingUpdate = (await env.cluster.deployment(name)).spec?.strategy?.rollingUpdate;
    return rollingUpdate?.maxSurge === '100%';
  });
  await env.cluster.pods(name, image);
}

describe('the strategy of before is back', () => {
  test.concurrent('after a rollout that cannot finish', async () => {
    await make('blocked', crash);

    const result = await env.abort(await env.runUntilPaused({ deployment: 'blocked' }));

    expect(result.outcome).toBe('aborted');
    expect(result.plan?.changes[0]?.after.surge).toBe(true);
    expect(await strategyOf('blocked')).toEqual(own);
  });

  test.concurrent('after going back to the healthier version, which the result says', async () => {
    await make('compensated', crash);

    const result = await env.run({ deployment: 'compensated', onFailure: 'compensate' });

    expect(result.outcome).toBe('compensated');
    expect(result.message).toContain('CrashLoopBackOff');
    expect(result.steps[0]).toMatchObject({ title: 'Restore the pod template', state: 'undone' });
    expect(await env.cluster.image('compensated')).toBe(good);
    expect(await strategyOf('compensated')).toEqual(own);
    const { status } = await env.cluster.deployment('compensated');
    expect(status).toMatchObject({ availableReplicas: 2, updatedReplicas: 2, replicas: 2 });
  });

  test.concurrent('after a run that was cancelled halfway', async () => {
    await make('cancelled', never);
    const id = await env.start({ deployment: 'cancelled' });
    await untilRaised('cancelled', never);

    await env.client.workflow.getHandle(id).cancel();
    const result = await env.result(id);

    expect(result.outcome).toBe('aborted');
    expect(await env.cluster.image('cancelled')).toBe(good);
    expect(await strategyOf('cancelled')).toEqual(own);
  });

  test.concurrent('with the run after one that was terminated halfway', async () => {
    await make('terminated', never);
    await env.cluster.release('terminated', next);
    const id = await env.start({ deployment: 'terminated', toRevision: 1 });
    await untilRaised('terminated', never);
    await env.client.workflow.getHandle(id).terminate();

    const result = await env.run({ deployment: 'terminated', toRevision: 2 });

    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.image('terminated')).toBe(good);
    expect(await strategyOf('terminated')).toEqual(own);
  });

  test.concurrent('also where the terminated run had restored the right template', async () => {
    await make('mended', next);
    // Pods count as available late, so that the run is still at it when it is terminated.
    await env.cluster.patch('mended', { spec: { minReadySeconds: 4 } });
    const id = await env.start({ deployment: 'mended' });
    await untilRaised('mended', next);
    await env.client.workflow.getHandle(id).terminate();
    expect(await strategyOf('mended')).not.toEqual(own);

    const result = await env.run({ deployment: 'mended' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.message).toContain('the rollout strategy that an earlier run left is put back');
    expect(await env.cluster.image('mended')).toBe(next);
    expect(await strategyOf('mended')).toEqual(own);
  });
});
