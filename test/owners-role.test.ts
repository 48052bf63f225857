/** Owners with exactly the rights of deploy/kubernetes-role.yaml, and with one fewer. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { application, kustomization, trackedBy } from '../sandbox/kubernetes/owner-manifests.ts';
import type { RunResult } from '../src/contract/run.ts';
import { TestCluster } from './support/cluster.ts';
import { deploymentManifest } from './support/manifests.ts';
import { read } from './support/owners.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import {
  makeServiceAccounts,
  type Missing,
  removeClusterRoles,
} from './support/service-accounts.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const missing = (verb: string, resource: string): Missing => ({ kind: 'Role', verb, resource });

/** By the name of service account and Deployment: what it lacks. */
const wanted = {
  full: undefined,
  'no-patch-application': missing('patch', 'applications'),
  'no-get-application': missing('get', 'applications'),
  'no-patch-kustomization': missing('patch', 'kustomizations'),
} as const satisfies Record<string, Missing | undefined>;
type Name = keyof typeof wanted;

const owners = new TestCluster(`owners-${randomBytes(4).toString('hex')}`);
const env = useRollbackEnvironment({ owners: { argoCd: { namespace: owners.namespace } } });
const admin = process.env.KUBECONFIG;

beforeAll(async () => {
  await execa('kubectl', ['create', 'namespace', owners.namespace]);
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, wanted, {
    owners: owners.namespace,
  });
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(wanted));
  await execa('kubectl', ['delete', 'namespace', '--wait=false', owners.namespace]);
  process.env.KUBECONFIG = admin;
});

/** A bad release by Argo CD and by Flux. */
async function deploy(name: Name): Promise<void> {
  await owners.apply([application(name), kustomization(name)]);
  const about = {
    ...trackedBy(name, 'apps/Deployment', env.cluster.namespace, name),
    labels: {
      'kustomize.toolkit.fluxcd.io/name': name,
      'kustomize.toolkit.fluxcd.io/namespace': owners.namespace,
    },
    replicas: 1,
  };
  await env.cluster.apply([deploymentManifest(name, v1, about)]);
  await env.cluster.pods(name, v1);
  await env.cluster.apply([deploymentManifest(name, v2, about)]);
  await env.cluster.pods(name, v2);
}

async function release(owner: string): Promise<RunResult> {
  const input = { owner, namespace: owners.namespace, context: 'full' };
  return env.result(await env.startAs('on-call', input, undefined, 'release'));
}

test.concurrent('the role is enough to hold and to release them', async () => {
  await deploy('full');

  const result = await env.run({ deployment: 'full', context: 'full' });

  expect(result.outcome).toBe('rolled-back');
  expect(result.plan?.warnings.join('\n')).not.toContain('may not');
  const held = await Promise.all(
    [['application'], ['kustomization']].map(([kind = '']) => read(owners, kind, 'full')),
  );
  expect(held.map(({ spec }) => spec)).toMatchObject([{ syncPolicy: {} }, { suspend: true }]);
  expect((await release('application/full')).outcome).toBe('rolled-back');
  expect((await release('kustomization/full')).outcome).toBe('rolled-back');
});

describe('without', () => {
  test.concurrent.each<[string, Name]>([
    ['patch applications', 'no-patch-application'],
    ['patch kustomizations', 'no-patch-kustomization'],
  ])('%s nothing is begun', async (right, name) => {
    await deploy(name);

    const result = await env.run({ deployment: name, context: name });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`may not ${right} in namespace ${owners.namespace}`);
    expect(result.message).toContain('deploy/kubernetes-role.yaml');
    expect(await env.cluster.image(name)).toBe(v2);
  });

  test.concurrent('get applications the plan says what would bring it back', async () => {
    const name = 'no-get-application';
    await deploy(name);

    const result = await env.run({ deployment: name, context: name });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toMatch(
      /may not read application no-get-application .*argocd app set/,
    );
  });
});
