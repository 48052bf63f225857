import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0'];
const byOwner = ['--server-side', '--field-manager=owner'];
const mode = { container: { env: [{ name: 'MODE', value: 'old' }] } };

describe('after a rollback, the owner of a Deployment', () => {
  test.concurrent(
    'applies the next version server-side without a conflict or a leftover',
    async () => {
      await env.cluster.apply([deploymentManifest('applied', v1, mode)], ...byOwner);
      await env.cluster.rollout('applied');
      await env.cluster.apply([deploymentManifest('applied', v2)], ...byOwner);
      await env.cluster.rollout('applied');

      expect((await env.run({ deployment: 'applied' })).outcome).toBe('rolled-back');
      await env.cluster.apply([deploymentManifest('applied', v3)], ...byOwner);

      const { spec } = await env.cluster.deployment('applied');
      expect(spec?.template.spec?.containers[0]).toMatchObject({ image: v3 });
      expect(spec?.template.spec?.containers[0]?.env).toBeUndefined();
    },
  );

  test.concurrent(
    'keeps the container where another manager applied only a label before',
    async () => {
      const label = (team: string) => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'labelled', labels: { team } },
      });
      const byLabeller = ['--server-side', '--field-manager=a-labeller'];
      await env.cluster.apply([deploymentManifest('labelled', v1, mode)], ...byOwner);
      await env.cluster.rollout('labelled');
      await env.cluster.apply([label('one')], ...byLabeller);
      await env.cluster.apply([deploymentManifest('labelled', v2)], ...byOwner);
      await env.cluster.rollout('labelled');

      expect((await env.run({ deployment: 'labelled' })).outcome).toBe('rolled-back');
      await env.cluster.apply([label('two')], ...byLabeller);
      const { spec } = await env.cluster.deployment('labelled');
      expect(spec?.template.spec?.containers[0]).toMatchObject({ image: v1, ...mode.container });
      await env.cluster.apply([deploymentManifest('labelled', v3)], ...byOwner);
      const after = await env.cluster.deployment('labelled');
      expect(after.spec?.template.spec?.containers[0]?.env).toBeUndefined();
    },
  );

  test.concurrent(
    'applies the version that stands, and a second run still finds the work done',
    async () => {
      await env.cluster.apply([deploymentManifest('kept', v1)], ...byOwner);
      await env.cluster.rollout('kept');
      await env.cluster.apply([deploymentManifest('kept', v2)], ...byOwner);
      await env.cluster.rollout('kept');
      await env.run({ deployment: 'kept' });
      await env.cluster.apply([deploymentManifest('kept', v1)], ...byOwner);

      expect((await env.run({ deployment: 'kept' })).outcome).toBe('no-op');
      expect(await env.cluster.image('kept')).toBe(v1);
    },
  );

  test.concurrent('keeps the strategy that somebody else set', async () => {
    await env.cluster.apply([deploymentManifest('tuned', v1)], ...byOwner);
    await env.cluster.rollout('tuned');
    const rollingUpdate = { maxSurge: 1, maxUnavailable: 1 };
    await env.cluster.patch('tuned', { spec: { strategy: { rollingUpdate } } });
    await env.cluster.apply([deploymentManifest('tuned', v2)], ...byOwner);
    await env.cluster.rollout('tuned');

    expect((await env.run({ deployment: 'tuned' })).plan?.changes[0]?.after.surge).toBe(true);
    await env.cluster.apply([deploymentManifest('tuned', v3)], ...byOwner);

    const { spec } = await env.cluster.deployment('tuned');
    expect(spec?.strategy?.rollingUpdate).toEqual(rollingUpdate);
  });

  test.concurrent('finds annotations that were added since the restored revision', async () => {
    await env.cluster.history('tracked', 2, v1, v2);
    await env.cluster.kubectl('annotate', 'deployment', 'tracked', 'tracker/ticket=INC-7');

    await env.run({ deployment: 'tracked' });

    const { metadata } = await env.cluster.deployment('tracked');
    expect(metadata?.annotations).toMatchObject({ 'tracker/ticket': 'INC-7' });
  });
});

test.concurrent(
  'a strategy kept by an earlier run does not come back over a newer one',
  async () => {
    await env.cluster.history('copied', 2, v1, v2);
    await env.run({ deployment: 'copied' });
    // The controller copies what stands on the Deployment to the ReplicaSet, and kubectl copies it back.
    await eventually('the ReplicaSet has a copy of the kept strategy', async () => {
      const set = (await env.cluster.replicaSets('copied')).get(v1);
      return set?.metadata?.annotations?.['rollback-workflows/earlier-strategy'] !== undefined;
    });
    await env.cluster.release('copied', v2);
    const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
    await env.cluster.patch('copied', { spec: { strategy: { rollingUpdate } } });
    await env.cluster.kubectl('rollout', 'undo', 'deployment/copied');
    await env.cluster.rollout('copied');
    await env.cluster.release('copied', v3);

    const result = await env.run({ deployment: 'copied' });

    expect(result.plan?.changes[0]?.after.surge).toBe(true);
    const { spec } = await env.cluster.deployment('copied');
    expect(spec?.strategy?.rollingUpdate).toEqual(rollingUpdate);
  },
);
