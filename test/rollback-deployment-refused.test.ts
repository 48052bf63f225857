import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { written } from './support/cluster.ts';

const env = useRollbackEnvironment();
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

/** A run that goes back to a named revision whose pods do not count as available yet, from one that is broken. */
async function halfWay(name: string) {
  await env.cluster.history(name, 1, v1, v2);
  await env.cluster.release(name, 'wakala/api:3.0.0-broken', false);
  await env.cluster.pods(name, 'wakala/api:3.0.0-broken');
  await env.cluster.patch(name, { spec: { minReadySeconds: 300 } });
  const id = await env.start({ deployment: name, toRevision: 1 });
  await env.cluster.pods(name, v1);
  const giveUp = async (run: string) => {
    await eventually('the rollout is driven', async () =>
      (await env.status(run)).steps.some(({ title }) => title === 'Wait for every replica'),
    );
    await env.client.workflow.getHandle(run).cancel();
    return env.result(run);
  };
  return { id, giveUp };
}

describe('nothing is changed', () => {
  test.concurrent('by a dry run, which shows the same plan as the run after it', async () => {
    await env.cluster.history('dry', 2, v1, v2);
    const before = await env.cluster.deployment('dry');

    const dry = await env.run({ deployment: 'dry', dryRun: true });

    expect(dry.outcome).toBe('dry-run');
    const after = await env.cluster.deployment('dry');
    expect(written(after)).toEqual(written(before));
    expect((await env.run({ deployment: 'dry' })).plan?.digest).toBe(dry.plan?.digest);
  });

  test.concurrent(
    'by a dry run of a target that another run holds, and it does not wait',
    async () => {
      await env.cluster.history('held', 1, v1, v2);
      const owner = await env.occupy('held');

      const dry = await env.run({ deployment: 'held', dryRun: true, wait: '10m' });

      expect(dry.outcome).toBe('dry-run');
      await owner.free();
    },
  );

  test.concurrent('where the revision is not there, and the known ones are named', async () => {
    await env.cluster.history('short', 1, v1, v2);
    const before = await env.cluster.deployment('short');

    const result = await env.run({ deployment: 'short', toRevision: 1_000_000 });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('has no revision 1000000 (known revisions: 1, 2)');
    expect(result.next).toEqual(['Nothing was changed.']);
    const after = await env.cluster.deployment('short');
    expect(written(after)).toEqual(written(before));
  });

  test.concurrent('where there is no earlier revision', async () => {
    await env.cluster.deploy('first', v1, 1);

    const result = await env.run({ deployment: 'first' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('has no earlier revision to go back to (known revisions: 1)');
  });

  test.concurrent(
    'where a run that was cancelled gave its rollout up, until a revision is named',
    async () => {
      const { id, giveUp } = await halfWay('given-up');
      // Nobody has measured that what was left is healthier.
      expect((await giveUp(id)).outcome).toBe('failed');
      const before = await env.cluster.deployment('given-up');

      const result = await env.run({ deployment: 'given-up' });

      expect(result.outcome).toBe('refused');
      expect(result.message).toMatch(
        new RegExp(
          `stands at revision 4, and the rollout to it, which run ${id} began, was given up at .*--to-revision N, of 2, 3 \\(what was left\\), 4 \\(sees that rollout through\\)\\.$`,
        ),
      );
      expect(written(await env.cluster.deployment('given-up'))).toEqual(written(before));

      const named = await env.start({ deployment: 'given-up', toRevision: 4 });
      expect((await env.untilPlanned(named)).summary).toContain(
        `the rollout that run ${id} began is seen through`,
      );
      expect((await giveUp(named)).outcome).toBe('aborted');
      expect((await env.run({ deployment: 'given-up' })).outcome).toBe('refused');

      const through = await env.start({ deployment: 'given-up', toRevision: 4 });
      await env.untilPlanned(through);
      await env.cluster.patch('given-up', { spec: { minReadySeconds: 0 } });
      expect((await env.result(through)).outcome).toBe('rolled-back');
      const after = await env.run({ deployment: 'given-up' });
      expect(after.outcome).toBe('no-op');
      expect(after.message).toContain(`run ${id} rolled it back from revision 3`);
    },
  );

  test.concurrent('where there is no such Deployment, namespace or context', async () => {
    await env.cluster.deploy('present', v1, 1);

    const deployment = await env.run({ deployment: 'absent' });
    expect(deployment.outcome).toBe('refused');
    expect(deployment.message).toMatch(/no Deployment absent in namespace .*: it has .*present/);

    const namespace = await env.run({ deployment: 'present', namespace: 'absent' });
    expect(namespace.outcome).toBe('refused');
    expect(namespace.message).toContain('There is no namespace absent');

    const context = await env.run({ deployment: 'present', context: 'absent' });
    expect(context.outcome).toBe('unreachable');
    expect(context.message).toContain('no context "absent"');
  });
});

describe('an input that is wrong ends the run at once and says which field', () => {
  test.concurrent.each<[string, unknown, RegExp]>([
    ['no object', 'wakala-api', /must be one JSON object/],
    ['nothing', null, /must be one JSON object/],
    ['no name', {}, /"deployment" is missing/],
    ['a name of another type', { deployment: 7 }, /"deployment" is of the wrong type/],
    ['a name that is none', { deployment: 'Wakala API' }, /"deployment" is not a Kubernetes name/],
    ['an unknown field', { deployment: 'a', toRevison: 3 }, /Unknown field "toRevison"/],
    [
      'a revision in words',
      { deployment: 'a', toRevision: '2' },
      /"toRevision" is of the wrong type/,
    ],
    ['half a revision', { deployment: 'a', toRevision: 1.5 }, /"toRevision" .* a whole number/],
    ['revision 0', { deployment: 'a', toRevision: 0 }, /"toRevision" must be 1 or more/],
    [
      'a pace that is none',
      { deployment: 'a', pace: 'fast' },
      /"pace" must be one of auto, steady/,
    ],
    ['a wait that is none', { deployment: 'a', wait: '5 minuets' }, /"wait" is not a duration/],
    ['a reason of two lines', { deployment: 'a', reason: 'a\nb' }, /"reason" has line breaks/],
    ['a cause in words', { deployment: 'a', cause: 'Memory leak' }, /"cause" is not a short slug/],
    [
      'a path as namespace',
      { deployment: 'a', namespace: 'a/b' },
      /"namespace" is not a Kubernetes/,
    ],
  ])('%s', async (_name, input, message) => {
    const failure = await env.failure(input);

    expect(failure.type).toBe('InvalidInput');
    expect(failure.nonRetryable).toBe(true);
    expect(failure.message).toMatch(message);
    expect(failure.details?.[0]).toMatchObject({ outcome: 'invalid', steps: [] });
  });
});
