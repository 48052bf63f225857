import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
type Wanted = Parameters<typeof deploymentManifest>[2];

/** A Deployment with two revisions; nobody waits for its pods. */
async function make(name: string, wanted: Wanted = {}): Promise<void> {
  const one = { replicas: 1, ...wanted };
  await env.cluster.apply([deploymentManifest(name, v1, one)]);
  await env.cluster.pods(name, v1);
  await env.cluster.apply([deploymentManifest(name, v2, one)]);
}

async function warningsOf(name: string): Promise<string> {
  const result = await env.run({ deployment: name, dryRun: true });
  expect(result.outcome).toBe('dry-run');
  return result.plan?.warnings.join('\n') ?? '';
}

describe('the plan says who else will change the Deployment', () => {
  test.concurrent.each<[string, Wanted, RegExp]>([
    ['helm', { annotations: { 'meta.helm.sh/release-name': 'wakala' } }, /release wakala/],
    ['helm-label', { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }, /Helm owns/],
    [
      'argo-cd',
      { annotations: { 'argocd.argoproj.io/tracking-id': 'shop:apps/Deployment:a/b' } },
      /application shop\).*argocd app set shop --sync-policy none/,
    ],
    ['argo-cd-label', { labels: { 'argocd.argoproj.io/instance': 'shop' } }, /application shop\)/],
    ['flux', { labels: { 'kustomize.toolkit.fluxcd.io/name': 'apps' } }, /Flux owns .*apps/],
    ['flux-helm', { labels: { 'helm.toolkit.fluxcd.io/name': 'shop' } }, /Flux owns .*shop/],
  ])('%s', async (name, wanted, warning) => {
    await make(name, wanted);

    expect(await warningsOf(name)).toMatch(warning);
  });

  test.concurrent('a HorizontalPodAutoscaler', async () => {
    await make('scaled');
    await env.cluster.kubectl('autoscale', 'deployment', 'scaled', '--min=2', '--max=7');

    expect(await warningsOf('scaled')).toContain('HorizontalPodAutoscaler scaled (2 to 7)');
  });

  test.concurrent('an operator', async () => {
    await make('operated');
    await ownedBy('operated', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'shop-operator' },
    });

    expect(await warningsOf('operated')).toContain('ConfigMap shop-operator owns this Deployment');
  });

  test.concurrent('nobody, where there is nobody', async () => {
    await make('alone');

    expect(await warningsOf('alone')).not.toMatch(/owns|watches|Autoscaler/);
  });
});

interface Owner {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  spec?: object;
}

/** Makes the object, and makes it the controller of the Deployment. */
async function ownedBy(deployment: string, owner: Owner): Promise<void> {
  const { apiVersion, kind, metadata } = owner;
  const { name } = metadata;
  await env.cluster.apply([owner]);
  const uid = await env.cluster.kubectl('get', kind, name, '-o', 'jsonpath={.metadata.uid}');
  const ownerReferences = [{ apiVersion, kind, name, uid, controller: true }];
  await env.cluster.patch(deployment, { metadata: { ownerReferences } });
}

describe('progressive delivery', () => {
  test.concurrent('Flagger, which takes the rollback for a new release, is said', async () => {
    await make('canaried');
    await env.cluster.apply([canary('shop', 'canaried')]);

    expect(await warningsOf('canaried')).toContain('Flagger watches this Deployment (canary shop)');
  });

  test.concurrent("Flagger's own copy is refused, with what to roll back instead", async () => {
    await make('shop-primary');
    await ownedBy('shop-primary', canary('shop-canary', 'shop'));

    const result = await env.run({ deployment: 'shop-primary' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('the Deployment that the canary watches instead');
    expect(await env.cluster.image('shop-primary')).toBe(v2);
  });

  test.concurrent(
    'a Deployment whose pods Argo Rollouts runs is refused, with its command',
    async () => {
      await make('rolled');
      await env.cluster.apply([
        {
          apiVersion: 'argoproj.io/v1alpha1',
          kind: 'Rollout',
          metadata: { name: 'shop' },
          spec: {
            workloadRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'rolled' },
            selector: { matchLabels: { app: 'rolled' } },
            strategy: { canary: { steps: [{ setWeight: 20 }, { pause: {} }] } },
          },
        },
      ]);

      const result = await env.run({ deployment: 'rolled' });

      expect(result.outcome).toBe('refused');
      expect(result.message).toContain('kubectl argo rollouts undo shop');
      expect(await env.cluster.image('rolled')).toBe(v2);
    },
  );
});

/** A canary that shifts a tenth of the traffic to the new version every minute. */
function canary(name: string, deployment: string): Owner {
  return {
    apiVersion: 'flagger.app/v1beta1',
    kind: 'Canary',
    metadata: { name },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: deployment },
      service: { port: 80 },
      analysis: { interval: '1m', threshold: 5, maxWeight: 50, stepWeight: 10 },
    },
  };
}

describe('what the rollback does not bring back is said', () => {
  const configured = (name: string) => ({
    container: { envFrom: [{ configMapRef: { name } }] },
  });

  test.concurrent('a ConfigMap that was changed since, without its contents', async () => {
    await env.cluster.kubectl('create', 'configmap', 'flags', '--from-literal=MODE=old');
    await make('configured', configured('flags'));
    expect(await warningsOf('configured')).not.toContain('ConfigMap flags');

    // The API server counts in seconds: the change must not fall into the one of the revision.
    await eventually('the change is later than the revision', async () => {
      const patch = JSON.stringify({ data: { MODE: `hunter2-${Date.now()}` } });
      await env.cluster.kubectl('patch', 'configmap', 'flags', '-p', patch);
      return (await warningsOf('configured')).includes('ConfigMap flags was changed at');
    });
    const { plan } = await env.run({ deployment: 'configured', dryRun: true });
    expect(JSON.stringify(plan)).not.toContain('hunter2');
  });

  test.concurrent('a ConfigMap that is gone', async () => {
    await env.cluster.kubectl('create', 'configmap', 'lost', '--from-literal=MODE=old');
    await make('lost', configured('lost'));
    await env.cluster.kubectl('delete', 'configmap', 'lost');

    expect(await warningsOf('lost')).toContain('ConfigMap lost, which this revision uses, is gone');
  });
});
