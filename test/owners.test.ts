import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { application, trackedBy } from '../sandbox/kubernetes/owner-manifests.ts';
import { TestCluster } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const argo = new TestCluster(`argocd-${randomBytes(4).toString('hex')}`);
const env = useRollbackEnvironment({ owners: { argoCd: { namespace: argo.namespace } } });
beforeAll(() => execa('kubectl', ['create', 'namespace', argo.namespace]));
afterAll(() => execa('kubectl', ['delete', 'namespace', '--wait=false', argo.namespace]));
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
      'argo-cd-label',
      { labels: { 'argocd.argoproj.io/instance': 'shop' } },
      /application shop\), and there is no such application.*argocd app set shop --sync-policy none/,
    ],
    [
      'flux',
      { labels: { 'kustomize.toolkit.fluxcd.io/name': 'apps' } },
      /kustomization apps in .*, and there is no such.*flux suspend/,
    ],
    [
      'flux-helm',
      { labels: { 'helm.toolkit.fluxcd.io/name': 'shop' } },
      /helmrelease shop in .*, and there is no such/,
    ],
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

  test.concurrent('Argo CD, which somebody has turned off', async () => {
    const { namespace } = env.cluster;
    await env.cluster.apply([application('manual', {})]);
    await make('manual', trackedBy('manual', 'apps/Deployment', namespace, 'manual'));

    expect(await warningsOf('manual')).toMatch(/application manual .* does not act by itself now/);
    const { plan } = await env.run({ deployment: 'manual', dryRun: true });
    expect(plan?.changes).toHaveLength(1);
  });

  test.concurrent('an application by the label of Helm, if it says so itself', async () => {
    await argo.apply([application('guessed'), application('other')]);
    const resource = { kind: 'Deployment', name: 'guessed', namespace: env.cluster.namespace };
    const patch = JSON.stringify({ status: { resources: [{ ...resource, group: 'apps' }] } });
    await argo.kubectl('patch', 'application', 'guessed', '--type=merge', '-p', patch);
    await make('guessed', { labels: { 'app.kubernetes.io/instance': 'guessed' } });
    await make('by-helm', { labels: { 'app.kubernetes.io/instance': 'other' } });

    expect(await warningsOf('guessed')).toContain('application guessed');
    expect(await warningsOf('by-helm')).not.toContain('application');
  });

  test.concurrent('nobody, where there is nobody or a mark was copied from elsewhere', async () => {
    await make('alone');
    await env.cluster.apply([application('copied')]);
    await make('copied', trackedBy('copied', 'apps/Deployment', 'elsewhere', 'copied'));

    expect(await warningsOf('alone')).not.toMatch(/owns|watches|Autoscaler|paused/);
    expect(await warningsOf('copied')).not.toContain('application');
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
