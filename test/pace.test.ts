import { afterAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { planLines } from '../src/client/view.ts';
import type { Plan } from '../src/contract/plan.ts';
import type { RunResult } from '../src/contract/run.ts';
import type { TestCluster } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const service = (deployment: string, database: string | undefined) => ({
  [deployment]: { deployment, connectionsPerPod: 1000, database },
});
const env = useRollbackEnvironment({
  services: {
    ...service('crowded', process.env.DATABASE_URL),
    ...service('dark', 'postgres://postgres@127.0.0.1:1/nowhere'),
  },
});
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const usual = { maxSurge: '25%', maxUnavailable: '25%' };

function surged({ plan }: RunResult): boolean {
  return plan?.changes[0]?.after.surge === true;
}

async function strategyOf(name: string, cluster: TestCluster = env.cluster): Promise<unknown> {
  return (await cluster.deployment(name)).spec?.strategy?.rollingUpdate;
}

/** Limits the number of pods in a namespace, and waits until it has counted those that are there. */
async function limitPods(cluster: TestCluster, pods: number, counted: number): Promise<void> {
  await cluster.limit('few-pods', `pods=${pods}`);
  await eventually('the quota has counted the pods', async () => {
    const path = 'jsonpath={.status.used.pods}';
    return (await cluster.kubectl('get', 'quota', 'few-pods', '-o', path)) === String(counted);
  });
}

describe('with room for it, all pods come up at once', () => {
  test.concurrent(
    'with no pod fewer on the way and the strategy as before at the end',
    async () => {
      await env.cluster.history('roomy', 4, v1, v2);
      const watch = await env.cluster.watch(
        'deployment',
        ['roomy'],
        '{.status.availableReplicas} {.status.replicas}',
      );

      const result = await env.run({ deployment: 'roomy' });

      expect(result.outcome).toBe('rolled-back');
      expect(surged(result)).toBe(true);
      const counts = (await watch.stop()).map((line) => line.split(' ').map(Number));
      expect(Math.min(...counts.map(([available = 0]) => available))).toBe(4);
      expect(Math.max(...counts.map(([, all = 0]) => all))).toBe(8);
      expect(await strategyOf('roomy')).toEqual(usual);
    },
  );

  test.concurrent('unless a steady pace is asked for', async () => {
    await env.cluster.history('asked', 2, v1, v2);

    const result = await env.run({ deployment: 'asked', pace: 'steady' });

    expect(result.outcome).toBe('rolled-back');
    expect(surged(result)).toBe(false);
    expect(result.plan?.warnings[0]).toContain('a steady pace was asked for');
  });

  test.concurrent(
    'and where the room goes after the plan, the rollout ends all the same',
    async () => {
      const cluster = await env.anotherNamespace();
      await cluster.history('squeezed', 4, v1, v2);

      const id = await env.startInterrupted(
        { deployment: 'squeezed' },
        () => limitPods(cluster, 4, 4),
        cluster,
      );
      const result = await env.result(id);

      expect(surged(result)).toBe(true);
      expect(result.outcome).toBe('rolled-back');
      expect(await cluster.image('squeezed')).toBe(v1);
      expect(await strategyOf('squeezed', cluster)).toEqual(usual);
    },
  );
});

describe('without room, the strategy stays as it is and the plan says why', () => {
  test.concurrent('quota with too little room', async () => {
    const cluster = await env.anotherNamespace();
    await cluster.history('limited', 4, v1, v2);
    await limitPods(cluster, 7, 4);

    const result = await env.run({ deployment: 'limited', namespace: cluster.namespace });

    expect(result.outcome).toBe('rolled-back');
    expect(surged(result)).toBe(false);
    expect(result.plan?.warnings[0]).toContain(
      'quota few-pods has no room for 4 more pods (pods: 4 of 7 used)',
    );
  });

  test.concurrent('full quota: pods that are refused on the way are no failure', async () => {
    const cluster = await env.anotherNamespace();
    await cluster.history('full', 4, v1, v2);
    await limitPods(cluster, 4, 4);
    const refusals = await cluster.watch('events', [], '{.reason}');

    const result = await env.run({ deployment: 'full', namespace: cluster.namespace });

    expect(result.outcome).toBe('rolled-back');
    expect(await refusals.stop()).toContain('FailedCreate');
    expect(await cluster.image('full')).toBe(v1);
  });

  test.concurrent.each([
    ['it cannot begin where none may go before a new one is ready', 'stuck', 0, true],
    ['it can where one may', 'free', 1, false],
  ])('full quota: %s', async (_, name, maxUnavailable, isStuck) => {
    const cluster = await env.anotherNamespace();
    await cluster.history(name, 2, v1, v2);
    await cluster.patch(name, {
      spec: { strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable } } },
    });
    await limitPods(cluster, 2, 2);
    const input = { deployment: name, namespace: cluster.namespace, dryRun: true };

    const { plan } = await env.run(input);

    const words =
      'The rollout cannot begin: its strategy takes no pod away before a new one is ready (maxSurge 1, maxUnavailable 0), and quota few-pods has no room for 1 more pods (pods: 2 of 2 used)';
    expect(plan?.warnings.join('\n').includes(words)).toBe(isStuck);
    // What cannot begin takes as long as the room is missing.
    expect(/Expected to take about \d+ s/.test(planLines(plan as Plan).join('\n'))).toBe(!isStuck);
  });

  const pool = `pool-${randomBytes(4).toString('hex')}`;
  afterAll(() => env.cluster.kubectl('delete', 'node', '--ignore-not-found', pool));

  test.concurrent('nodes with too little room', async () => {
    const allocatable = { cpu: '1', memory: '8Gi', pods: '20' };
    await env.cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: pool, labels: { pool }, annotations: { 'kwok.x-k8s.io/node': 'fake' } },
        spec: { taints: [{ key: 'pool', value: pool, effect: 'NoSchedule' }] },
        status: { allocatable, capacity: allocatable },
      },
    ]);
    const pod = {
      nodeSelector: { pool },
      tolerations: [{ key: 'pool', operator: 'Equal', value: pool, effect: 'NoSchedule' }],
    };
    const container = { resources: { requests: { cpu: '300m' } } };
    await env.cluster.apply([deploymentManifest('packed', v1, { pod, container })]);
    await env.cluster.rollout('packed');
    await env.cluster.release('packed', v2);
    await eventually('the pods before them are gone', async () => {
      return (await env.cluster.list('pod', 'app=packed')).length === 2;
    });

    const result = await env.run({ deployment: 'packed' });

    expect(result.outcome).toBe('rolled-back');
    expect(surged(result)).toBe(false);
    expect(result.plan?.warnings[0]).toContain('free room for 1 more pods and 2 are needed');

    await env.cluster.kubectl('cordon', pool);
    const cordoned = await env.run({ deployment: 'packed', toRevision: 2, dryRun: true });
    expect(cordoned.plan?.warnings.join(' ')).toContain(
      'free room for 0 more pods and 2 are needed',
    );
  });

  test.concurrent('required anti-affinity', async () => {
    const labelSelector = { matchLabels: { app: 'apart' } };
    const term = { topologyKey: 'kubernetes.io/hostname', labelSelector };
    const affinity = {
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
    };
    // Only one of the two pods finds a node; the plan needs no more.
    await env.cluster.apply([deploymentManifest('apart', v1, { pod: { affinity } })]);
    await env.cluster.pods('apart', v1);
    await env.cluster.release('apart', v2, false);

    const result = await env.run({ deployment: 'apart', dryRun: true });

    expect(surged(result)).toBe(false);
    expect(result.plan?.warnings[0]).toContain('the pods have a required anti-affinity');
  });

  test.concurrent('database without free connections, or that does not answer', async () => {
    await Promise.all([
      env.cluster.history('crowded', 2, v1, v2),
      env.cluster.history('dark', 2, v1, v2),
    ]);

    const crowded = await env.run({ deployment: 'crowded' });
    expect(crowded.outcome).toBe('rolled-back');
    expect(surged(crowded)).toBe(false);
    expect(crowded.plan?.warnings[0]).toMatch(/\d+ free connections and 2 more pods open 2000/);

    const dark = await env.run({ deployment: 'dark' });
    expect(dark.outcome).toBe('rolled-back');
    expect(surged(dark)).toBe(false);
    expect(dark.plan?.warnings[0]).toContain('free connections cannot be read (ECONNREFUSED)');
  });
});
