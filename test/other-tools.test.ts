import { describe, expect, test } from '@jest/globals';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0'];

describe('between plan and effect', () => {
  test.concurrent("another tool's deploy stands until somebody has seen the new plan", async () => {
    await env.cluster.history('overtaken', 2, v1, v2);

    const id = await env.startInterrupted({ deployment: 'overtaken' }, () =>
      env.cluster.release('overtaken', v3),
    );
    const waiting = await env.untilWaiting(id);
    expect(waiting.plannedAgain).toContain(`it stands at revision 3 (${v3})`);
    expect(waiting.message).toBe('Waiting for 1 on-call to confirm the start.');
    expect(waiting.plan?.summary).toContain(`${v3} -> ${v2}`);

    // Going back from there would bring the bad version back: the engineer sees that and says no.
    const reject = { note: 'version 3 is the fix' };
    expect((await env.decide(id, 'reject', 'on-call', reject)).counted).toBe(true);
    const result = await env.result(id);
    expect(result.outcome).toBe('rejected');
    expect(result.message).toContain('on-call rejected it: version 3 is the fix');
    expect(await env.cluster.image('overtaken')).toBe(v3);
    await env.untilFree('overtaken');
  });

  test.concurrent('a person pauses the Deployment, and it stays paused', async () => {
    await env.cluster.history('paused', 2, v1, v2);

    const id = await env.startInterrupted({ deployment: 'paused' }, () =>
      env.cluster.kubectl('rollout', 'pause', 'deployment/paused'),
    );

    expect((await env.result(id)).outcome).toBe('refused');
    const { spec } = await env.cluster.deployment('paused');
    expect(spec).toMatchObject({ paused: true });
    expect(await env.cluster.image('paused')).toBe(v2);
  });

  test.concurrent(
    'a Deployment that was made anew under the same name is another one',
    async () => {
      await env.cluster.history('anew', 1, v1, v2);

      const id = await env.startInterrupted({ deployment: 'anew' }, async () => {
        await env.cluster.kubectl('delete', 'deployment', 'anew');
        await env.cluster.deploy('anew', v3, 1);
      });
      const result = await env.result(id);

      expect(result.outcome).toBe('refused');
      expect(result.plannedAgain).toContain('was deleted and made anew');
      expect(result.message).toContain('has no earlier revision to go back to');
      expect(await env.cluster.image('anew')).toBe(v3);
    },
  );

  test.concurrent('somebody else goes back first, and the run finds its work done', async () => {
    await env.cluster.history('undone', 2, v1, v2);

    const id = await env.startInterrupted({ deployment: 'undone' }, async () => {
      await env.cluster.kubectl('rollout', 'undo', 'deployment/undone');
      await env.cluster.rollout('undone');
    });
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps[0]?.text).toContain('Already at revision 3');
    expect(await env.cluster.image('undone')).toBe(v1);
  });

  test.concurrent('scaling is no reason to stop, and the new number counts', async () => {
    await env.cluster.history('scaled', 1, v1, v2);

    const id = await env.startInterrupted({ deployment: 'scaled' }, () =>
      env.cluster.kubectl('scale', 'deployment/scaled', '--replicas=3'),
    );

    expect((await env.result(id)).outcome).toBe('rolled-back');
    const { status } = await env.cluster.deployment('scaled');
    expect(status).toMatchObject({ availableReplicas: 3, updatedReplicas: 3 });
  });

  test.concurrent('the revision that the plan named is pruned: no other one is taken', async () => {
    await env.cluster.history('pruned', 1, v1, v2);

    const id = await env.startInterrupted({ deployment: 'pruned' }, async () => {
      const old = (await env.cluster.replicaSets('pruned')).get(v1);
      await env.cluster.kubectl('delete', 'replicaset', old?.metadata?.name ?? '');
    });
    const result = await env.result(id);

    expect(result.outcome).toBe('refused');
    expect(result.plannedAgain).toContain('Revision 1 of Deployment pruned');
    expect(result.message).toContain('has no earlier revision to go back to');
    expect(await env.cluster.image('pruned')).toBe(v2);
  });
});

describe('while it rolls out', () => {
  /** Goes back to a version that gets no pod ready, so that the rollout goes on until changed. */
  async function rollingOut(name: string): Promise<string> {
    const [never, good] = ['wakala/api:1.0.0-broken', 'wakala/api:2.0.0'];
    await env.cluster.kubectl('create', 'deployment', name, `--image=${never}`, '--replicas=2');
    await env.cluster.release(name, good);
    const id = await env.start({ deployment: name });
    await env.cluster.pods(name, never);
    return id;
  }

  test.concurrent("another tool's deploy stands, with the strategy as it was", async () => {
    const id = await rollingOut('taken-over');
    const before = (await env.status(id)).plan?.changes[0]?.after.surge;
    await env.cluster.release('taken-over', v3);

    const paused = await env.untilPaused(id);

    expect(before).toBe(true);
    expect(paused.message).toContain('Somebody else changed Deployment taken-over');
    const { spec } = await env.cluster.deployment('taken-over');
    expect(spec?.strategy?.rollingUpdate).toEqual({ maxSurge: '25%', maxUnavailable: '25%' });
    const result = await env.abort(paused);
    expect(result.outcome).toBe('failed');
    expect(result.next[0]).toContain('Undo: Restore the pod template: Deployment taken-over');
    expect(await env.cluster.image('taken-over')).toBe(v3);
  });

  test.concurrent('a Deployment that is deleted pauses the run', async () => {
    const id = await rollingOut('deleted');
    await env.cluster.kubectl('delete', 'deployment', 'deleted');

    const result = await env.untilPaused(id);

    // Which of the two depends on whether the rollout was being watched already.
    expect(result.message).toMatch(/was deleted (while it rolled out|after the plan was made)/);
  });

  test.concurrent('a Deployment that is paused pauses the run and stays paused', async () => {
    const id = await rollingOut('stopped');
    await env.cluster.kubectl('rollout', 'pause', 'deployment/stopped');

    const result = await env.untilPaused(id);

    expect(result.message).toContain('was paused while it rolled out');
    expect((await env.cluster.deployment('stopped')).spec?.paused).toBe(true);
  });
});
