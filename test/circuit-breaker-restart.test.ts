import { describe, expect, test } from '@jest/globals';
import type { TestCluster } from './support/cluster.ts';
import {
  type ConfigMap,
  configMap,
  data,
  envFrom,
  generationOf,
  image,
  makeReader,
  valuesOf,
} from './support/circuit-breakers.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { StatefulSets } from './support/stateful-sets.ts';

const env = useRollbackEnvironment({}, { procedure: 'circuit-breaker' });
const crash = 'wakala/api:2.0.0-crash';

describe('a restart that cannot finish', () => {
  /** Opens it where there is no room for one pod more. */
  async function stick(name: string) {
    const own = await env.anotherNamespace();
    await makeReader(own, name);
    await own.limit('pods', 'pods=2');
    const paused = await env.runUntilPaused({ configMap: name, namespace: own.namespace });
    expect(paused.message).toMatch(/The restart of Deployment .* cannot finish .*exceeded quota/);
    return { own, paused };
  }

  test.concurrent(
    'holds the run, and abort restores the values before it restarts again',
    async () => {
      const { own, paused } = await stick('stuck');
      await own.kubectl('delete', 'quota', 'pods');

      const result = await env.abort(paused);

      expect(result.outcome).toBe('aborted');
      expect(await valuesOf(own, 'stuck')).toEqual(data);
      const { metadata } = await own.get<ConfigMap>('configmap', 'stuck');
      expect(JSON.stringify(metadata.annotations)).not.toContain(
        'rollback-workflows/circuit-breaker',
      );
      // The second restart came after the values, and all pods are from it.
      const { status, spec } = await own.deployment('stuck');
      expect(await generationOf(own, 'stuck')).toBe(3);
      expect(status).toMatchObject({ updatedReplicas: 2, availableReplicas: 2, replicas: 2 });
      expect(spec?.replicas).toBe(2);
    },
  );

  test.concurrent('of a run that was ended is done by the next one', async () => {
    const { own, paused } = await stick('ended');
    await env.client.workflow.getHandle(paused.workflowId).terminate();
    await own.kubectl('delete', 'quota', 'pods');

    const input = { configMap: 'ended', namespace: own.namespace, wait: '30s' };
    const result = await env.run(input);

    expect(result.outcome).toBe('rolled-back');
    expect(result.message).toContain('already open');
    expect(result.steps.map(({ title }) => title)).toEqual(['Restart deployment/ended']);
    expect((await env.run(input)).outcome).toBe('no-op');
  });

  /** A ConfigMap and a StatefulSet of the same name that reads it. */
  async function makeSet(own: TestCluster, name: string): Promise<StatefulSets> {
    const sets = new StatefulSets(() => own);
    const container = envFrom(name);
    await own.apply([
      configMap(name),
      { ...deploymentManifest(name, image, { replicas: 2, container }), kind: 'StatefulSet' },
    ]);
    await sets.untilAllReady(name, image);
    return sets;
  }

  test.concurrent('holds the run where a StatefulSet is refused its pods', async () => {
    const own = await env.anotherNamespace();
    const sets = await makeSet(own, 'refused');
    await own.limit('pods', 'pods=1');
    const before = await sets.pods('refused');

    const paused = await env.runUntilPaused({ configMap: 'refused', namespace: own.namespace });

    expect(paused.message).toMatch(/The restart of StatefulSet refused .*exceeded quota: pods/);
    await own.kubectl('delete', 'quota', 'pods');
    expect((await env.decideStep(paused, 'retry')).counted).toBe(true);
    expect((await env.result(paused.workflowId)).outcome).toBe('rolled-back');
    const after = await sets.pods('refused');
    expect(after).toHaveLength(2);
    expect(before.filter((pod) => after.includes(pod))).toEqual([]);
  });

  test.concurrent('holds the run where a StatefulSet waits for an old pod', async () => {
    const own = await env.anotherNamespace();
    const sets = await makeSet(own, 'waiting');
    await sets.release('waiting', crash);
    await sets.untilRuns('waiting-1', crash);

    const paused = await env.runUntilPaused({ configMap: 'waiting', namespace: own.namespace });

    expect(paused.message).toMatch(/The restart of StatefulSet waiting .*pod waiting-1/);
    expect(paused.message).toContain('CrashLoopBackOff');
    await env.client.workflow.getHandle(paused.workflowId).terminate();
  });
});
