import { describe, expect, test } from '@jest/globals';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import type { TestCluster } from './support/cluster.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const after = (deployment: string, ...names: string[]) => ({ deployment, after: names });
const env = useRollbackEnvironment(
  {
    services: {
      store: after('ordered-store'),
      queue: after('ordered-queue', 'store'),
      front: after('ordered-front', 'queue'),
    },
    authority: {
      rules: [{ name: 'payments', when: { targets: ['*/lead-*'] }, need: { 'team-lead': 1 } }],
    },
  },
  { procedure: 'services' },
);

async function release(names: string[], cluster = env.cluster, replicas = 1): Promise<void> {
  await Promise.all(names.map((name) => cluster.history(name, replicas, v1, v2)));
}

async function imagesOf(names: string[], cluster: TestCluster = env.cluster) {
  return Promise.all(names.map((name) => cluster.image(name)));
}

describe('several services go back', () => {
  test.concurrent("to where the runbook's loop of kubectl brings them", async () => {
    const [ours, loop] = [await env.anotherNamespace(), await env.anotherNamespace()];
    const names = ['api', 'worker', 'websocket'];
    await Promise.all([release(names, ours), release(names, loop)]);
    for (const name of names) await loop.kubectl('rollout', 'undo', `deployment/${name}`);
    for (const name of names) await loop.rollout(name);

    const result = await env.run({ services: names, namespace: ours.namespace });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.summary).toBe('3 Deployments go back, at once: api, worker, websocket.');
    for (const name of names) {
      const [one, other] = [await ours.deployment(name), await loop.deployment(name)];
      expect(one.spec).toEqual(other.spec);
    }

    const { generation } = (await ours.deployment('api')).metadata ?? {};
    const again = await env.run({ services: names, namespace: ours.namespace });
    expect(again.outcome).toBe('no-op');
    expect(again.message).toContain('api, worker, websocket; nothing to do');
    expect((await ours.deployment('api')).metadata?.generation).toBe(generation);
  });

  test.concurrent('all of them, with one approval for the whole plan', async () => {
    const names = ['lead-pays', 'no-lead'];
    await release(names);
    const id = await env.start({ services: names });
    const { authority } = await env.untilWaiting(id);
    expect(authority?.missing).toContain('team-lead');
    expect(await imagesOf(names)).toEqual([v2, v2]);

    expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(true);

    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect(await imagesOf(names)).toEqual([v1, v1]);
  });

  test.concurrent(
    'in the order of the settings, each when the one before is complete',
    async () => {
      const names = ['ordered-front', 'ordered-queue', 'ordered-store'];
      await release(names);

      const result = await env.run({ services: ['front', 'store', 'queue'] });

      expect(result.outcome).toBe('rolled-back');
      expect(result.plan?.warnings).toContain(
        'In order, each after the one before is complete: ordered-store; ordered-queue; ordered-front.',
      );
      expect(result.steps.map(({ title }) => title.split(' of ')[1])).toEqual(
        ['ordered-store', 'ordered-queue', 'ordered-front'].flatMap((name) => [name, name]),
      );
      expect(await imagesOf(names)).toEqual([v1, v1, v1]);
    },
  );

  test.concurrent('taking no more room together than there is', async () => {
    const cluster = await env.anotherNamespace();
    await release(['one', 'other'], cluster, 2);
    const hard = { pods: '6' };
    await cluster.apply([
      { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'few' }, spec: { hard } },
    ]);
    await cluster.kubectl(
      ...['wait', 'quota/few', '--for=jsonpath={.status.used.pods}=4', '--timeout=10s'],
    );

    const result = await env.run({ services: ['one', 'other'], namespace: cluster.namespace });

    expect(result.outcome).toBe('rolled-back');
    const surges = result.plan?.changes.map(({ after: { surge } }) => surge);
    expect(surges?.filter(Boolean)).toHaveLength(1);
    expect(await imagesOf(['one', 'other'], cluster)).toEqual([v1, v1]);
  });
});

describe('where one of several fails', () => {
  test.concurrent('the others end, the run pauses at it, and an abort takes all back', async () => {
    const crash = 'wakala/api:1.0.0-crash';
    await release(['well', 'fine']);
    await env.cluster.release('well', 'wakala/api:3.0.0-bad');
    await env.cluster.kubectl('create', 'deployment', 'ill', `--image=${crash}`);
    await env.cluster.release('ill', v2);

    const paused = await env.runUntilPaused({ services: ['well', 'ill', 'fine'] });

    expect(paused.pausedAt.map(({ step }) => step)).toEqual(['Wait for every replica of ill']);
    expect(paused.message).toContain('CrashLoopBackOff');
    const done = paused.steps.filter(({ state }) => state === 'done').map(({ title }) => title);
    expect(done).toContain('Wait for every replica of well');
    expect(done).toContain('Wait for every replica of fine');

    const result = await env.abort(paused);
    expect(result.outcome).toBe('aborted');
    expect(result.next).toEqual([]);
    expect(await imagesOf(['well', 'ill', 'fine'])).toEqual(['wakala/api:3.0.0-bad', v2, v2]);
    // What one went to need not be bad because another had to be taken back.
    const again = await env.run({ services: ['well'], dryRun: true });
    expect(again.plan?.summary).toContain(`wakala/api:3.0.0-bad -> ${v2}`);
    expect(again.plan?.warnings.join('\n')).toContain('Revision 4 was left by run');
  });

  test.concurrent(
    'nothing begins where one must not be rolled back, and all are told',
    async () => {
      await release(['sound']);
      await env.cluster.deploy('young', v1, 1);
      const { generation } = (await env.cluster.deployment('sound')).metadata ?? {};

      const result = await env.run({ services: ['sound', 'young', 'absent'] });

      expect(result.outcome).toBe('refused');
      expect(result.message).toContain('Deployment young');
      expect(result.message).toContain('no earlier revision');
      expect(result.message).toContain('There is no Deployment absent');
      expect((await env.cluster.deployment('sound')).metadata?.generation).toBe(generation);
    },
  );
});

describe('all', () => {
  test.concurrent('is what the plan lists, and never the worker itself', async () => {
    const cluster = await env.anotherNamespace();
    const { namespace } = cluster;
    await release(['web', 'rollback-worker'], cluster);
    await cluster.deploy('new', v1, 1);
    await cluster.kubectl('rollout', 'restart', 'deployment/new');
    await cluster.rollout('new');
    await cluster.kubectl('label', 'deployment/rollback-worker', 'rollback-workflows/worker=true');

    const result = await env.run({ all: true, namespace });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.targets.map(({ name }) => name)).toEqual(['web']);
    expect(result.plan?.warnings).toEqual(
      expect.arrayContaining([
        "Left out: rollback-worker, the rollback's own worker.",
        'Left out: new, which has no earlier revision.',
      ]),
    );
    expect(await imagesOf(['web', 'rollback-worker', 'new'], cluster)).toEqual([v1, v2, v1]);

    const none = await env.run({ all: true, since: '0s', namespace });
    expect(none.outcome).toBe('no-op');
    const named = await env.failure({ services: ['web'], since: '0s' });
    expect(named.message).toContain('Field "since" is for all');
  });

  test.concurrent.each([
    [{}, 'No service is named'],
    [{ all: true, services: ['web'] }, 'leave one of the two out'],
  ])('%j is not guessed at', async (input, words) => {
    const result = await env.run(input);
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(words);
  });
});

test.concurrent('two runs over the same services never wait for each other', async () => {
  const names = ['left', 'right'];
  await release(names);
  const runs = await Promise.all([
    env.start({ services: names, wait: '30s' }),
    env.start({ services: names.toReversed(), wait: '30s' }),
  ]);

  const results = await Promise.all(runs.map((id) => env.result(id)));

  for (const { outcome } of results) expect(['no-op', 'rolled-back']).toContain(outcome);
  expect(await imagesOf(names)).toEqual([v1, v1]);
});
