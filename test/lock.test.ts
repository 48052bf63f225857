import { describe, expect, test } from '@jest/globals';
import { targetKey } from '../src/contract/plan.ts';
import { eventually } from './support/eventually.ts';
import { targetOf, useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

describe('a target that another run holds', () => {
  test.concurrent(
    'is busy for a second run, which names the first and changes nothing',
    async () => {
      const never = 'wakala/api:1.0.0-broken';
      await env.cluster.kubectl('create', 'deployment', 'busy', `--image=${never}`, '--replicas=1');
      await env.cluster.release('busy', v2);
      await env.cluster.release('busy', 'wakala/api:3.0.0');
      const first = await env.start({ deployment: 'busy', toRevision: 1 });
      await env.cluster.pods('busy', never);
      const before = await env.cluster.deployment('busy');

      const second = await env.run({ deployment: 'busy', toRevision: 2 });

      expect(second.outcome).toBe('busy');
      expect(second.message).toContain(`is held by run ${first}`);
      expect(second.next).toEqual([
        'Nothing was changed.',
        `See what that run is at: rollback status ${first}; take back what it has done: rollback abort ${first}`,
      ]);
      const after = await env.cluster.deployment('busy');
      expect(after.metadata?.generation).toBe(before.metadata?.generation);

      // The first run was not hurt: it still answers to a cancel, and goes back.
      await env.client.workflow.getHandle(first).cancel();
      expect((await env.result(first)).outcome).toBe('aborted');
      await env.untilFree('busy');
    },
  );

  test.concurrent('is told before anybody is asked for an approval', async () => {
    await env.cluster.history('asked', 1, v1, v2);
    const owner = await env.occupy('asked');

    const unsigned = await env.start({ deployment: 'asked' }, undefined, 'nobody');

    const result = await env.result(unsigned);
    expect(result.outcome).toBe('busy');
    expect(result.heldBy).toBe(owner.identity.workflowId);
    expect(env.told.filter(({ workflowId }) => workflowId === unsigned)).toEqual([]);
    await owner.free();
  });

  test.concurrent(
    'is not told to be where it should be, while the first is not at its end',
    async () => {
      await env.cluster.history('underway', 1, v1, v2);
      await env.run({ deployment: 'underway' });
      await env.untilFree('underway');
      const owner = await env.occupy('underway');

      const result = await env.run({ deployment: 'underway' });

      expect(result.outcome).toBe('busy');
      expect(result.heldBy).toBe(owner.identity.workflowId);
      await owner.free();
      expect((await env.run({ deployment: 'underway' })).outcome).toBe('no-op');
    },
  );

  test.concurrent('is waited for, as long as the second run says', async () => {
    await env.cluster.history('awaited', 1, v1, v2);
    const owner = await env.occupy('awaited');

    const impatient = await env.run({ deployment: 'awaited', wait: '500ms' });
    expect(impatient.outcome).toBe('busy');
    expect(impatient.message).toContain(owner.identity.workflowId);

    const id = await env.start({ deployment: 'awaited', wait: '30s' });
    await env.untilPlanned(id);
    expect(await env.cluster.image('awaited')).toBe(v2);
    await owner.free();
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test.concurrent('stays with its owner where the run that waits is cancelled', async () => {
    await env.cluster.history('given-up', 1, v1, v2);
    const owner = await env.occupy('given-up');
    const id = await env.start({ deployment: 'given-up', wait: '10m' });
    await env.untilPlanned(id);

    await env.client.workflow.getHandle(id).cancel();
    const result = await env.result(id);

    expect(result.outcome).toBe('aborted');
    expect(result.next).toEqual(['Nothing was changed.']);
    expect(await env.isFree('given-up')).toBe(false);
    expect(await env.cluster.image('given-up')).toBe(v2);
    await owner.free();
  });

  test.concurrent('does not hold up another target', async () => {
    await Promise.all([
      env.cluster.history('one', 1, v1, v2),
      env.cluster.history('other', 1, v1, v2),
    ]);
    const owner = await env.occupy('one');

    expect((await env.run({ deployment: 'other' })).outcome).toBe('rolled-back');
    await owner.free();
  });
});

describe('a target is free again', () => {
  test.concurrent('after success, and after failure', async () => {
    const crash = 'wakala/api:1.0.0-crash';
    await env.cluster.kubectl('create', 'deployment', 'freed', `--image=${crash}`);
    await env.cluster.release('freed', v1);
    await env.cluster.release('freed', v2);

    expect((await env.run({ deployment: 'freed' })).outcome).toBe('rolled-back');
    await env.untilFree('freed');

    const paused = await env.runUntilPaused({ deployment: 'freed', toRevision: 1 });
    expect(await env.isFree('freed')).toBe(false);
    expect((await env.abort(paused)).outcome).toBe('aborted');
    await env.untilFree('freed');
  });

  test.concurrent('after the end of its owner, and at once for a run that follows', async () => {
    await env.cluster.history('followed', 1, v1, v2);
    const first = await env.start({ deployment: 'followed' });
    expect((await env.result(first)).outcome).toBe('rolled-back');
    const lockId = `lock:${targetKey(await targetOf(env.cluster, 'followed'))}`;
    const { runId } = await env.client.workflow.getHandle(lockId).describe();

    const second = await env.run({ deployment: 'followed', toRevision: 2 });

    expect(second.outcome).toBe('rolled-back');
    const [owner, lock] = await Promise.all([
      env.client.workflow.getHandle(first).describe(),
      env.client.workflow.getHandle(lockId, runId).describe(),
    ]);
    expect(lock.status.name).toBe('TERMINATED');
    expect(Number(lock.closeTime)).toBeGreaterThan(Number(owner.closeTime));
  });

  test.concurrent(
    'at once where its owner ended by itself, whose worker could not free it',
    async () => {
      await env.cluster.history('left', 1, v1, v2);
      const first = await env.start({ deployment: 'left' });
      expect((await env.result(first)).outcome).toBe('rolled-back');
      await env.untilFree('left');
      const { runId } = await env.client.workflow.getHandle(first).describe();
      await env.client.workflow.start('targetLock', {
        workflowId: `lock:${targetKey(await targetOf(env.cluster, 'left'))}`,
        ...{ taskQueue: 'rollback-locks', workflowExecutionTimeout: '1h' },
        memo: { owner: { workflowId: first, firstRunId: runId } },
      });
      await env.cluster.release('left', v2);

      const { outcome, startedAt, steps } = await env.run({ deployment: 'left' });

      expect(outcome).toBe('rolled-back');
      // Of one that was terminated, its last activity might still have acted for 6 s.
      expect(Date.parse(steps[0]?.startedAt ?? '') - Date.parse(startedAt)).toBeLessThan(5000);
    },
  );

  test.concurrent('soon after its owner was terminated', async () => {
    await env.cluster.history('orphaned', 1, v1, v2);
    const owner = await env.occupy('orphaned');
    await owner.terminate();

    const result = await env.run({ deployment: 'orphaned' });

    expect(result.outcome).toBe('rolled-back');
    await env.untilFree('orphaned');
  });

  test.concurrent(
    'for a later run with the id of its owner, once the earlier one is surely over',
    async () => {
      await env.cluster.history('named', 1, v1, v2);
      const owner = await env.occupy('named', env.cluster, 'same-id');
      await owner.terminate();
      const began = Date.now();

      const id = await env.start({ deployment: 'named' }, 'same-id');
      const result = await env.result(id);

      expect(result.outcome).toBe('rolled-back');
      // It did not pass for the earlier one, whose last activity might still have acted.
      expect(Date.now() - began).toBeGreaterThan(5000);
    },
  );
});

describe('a run that is reset', () => {
  const [never, neither] = ['wakala/api:1.0.0-broken', 'wakala/api:1.1.0-broken'];

  /** A Deployment with two versions to go back to whose pods never get ready. */
  async function twoBrokenPasts(name: string): Promise<void> {
    await env.cluster.kubectl('create', 'deployment', name, `--image=${never}`, '--replicas=1');
    await env.cluster.release(name, neither, false);
    await env.cluster.release(name, v2);
  }

  /** Starts a run that goes back to one of them, and waits until it drives the rollout. */
  async function rollingOut(name: string, toRevision: number): Promise<string> {
    const id = await env.start({ deployment: name, toRevision });
    await eventually('the rollout is driven', async () =>
      (await env.status(id)).steps.some(({ title }) => title === 'Wait for every replica'),
    );
    return id;
  }

  test.concurrent('while it runs holds its target as before, and frees it at its end', async () => {
    await twoBrokenPasts('reset-open');
    const id = await rollingOut('reset-open', 1);

    await env.reset(id);

    const second = await env.run({ deployment: 'reset-open', toRevision: 2 });
    expect(second.outcome).toBe('busy');
    expect(second.message).toContain(id);
    await env.client.workflow.getHandle(id).cancel();
    expect((await env.result(id)).outcome).toBe('aborted');
    await env.untilFree('reset-open');
  });

  test.concurrent('after another run took its target changes nothing of that one’s', async () => {
    await twoBrokenPasts('taken');
    const first = await rollingOut('taken', 1);
    await env.client.workflow.getHandle(first).terminate('by mistake');
    const second = await rollingOut('taken', 2);
    expect(await env.cluster.image('taken')).toBe(neither);

    await env.reset(first);

    const paused = await env.untilPaused(first);
    expect(paused.message).toContain('Nothing was done about it.');
    expect(await env.cluster.image('taken')).toBe(neither);
    // It finds nothing of its own to take back, and ends; the second one still holds the target.
    await env.client.workflow.getHandle(first).cancel();
    expect((await env.result(first)).outcome).toBe('failed');
    expect(await env.cluster.image('taken')).toBe(neither);
    expect(await env.isFree('taken')).toBe(false);
    await env.client.workflow.getHandle(second).cancel();
    await env.result(second);
    await env.untilFree('taken');
  });
});
