import { describe, expect, test } from '@jest/globals';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { written } from './support/cluster.ts';

const env = useRollbackEnvironment();
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

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
