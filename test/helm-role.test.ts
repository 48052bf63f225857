import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { helmCommand, TestReleases } from './support/releases.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import {
  makeServiceAccounts,
  type Missing,
  removeClusterRoles,
} from './support/service-accounts.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const missing = (verb: string, resource: string): Missing => ({ kind: 'Role', verb, resource });

/** By the name of service account and release: what it lacks. */
const wanted = {
  full: undefined,
  'no-list': missing('list', 'secrets'),
  'no-note': missing('patch', 'secrets'),
  'no-create': missing('create', 'secrets'),
  'no-change': missing('patch', 'services'),
  'no-hook': missing('delete', 'jobs'),
} as const satisfies Record<string, Missing | undefined>;
type Name = keyof typeof wanted;

const env = useRollbackEnvironment(
  { helm: { command: helmCommand, timeout: '20s', migrations: ['none'] } },
  { procedure: 'helm' },
);
const releases = new TestReleases(() => env.cluster);
const admin = process.env.KUBECONFIG;

beforeAll(async () => {
  const files = ['kubernetes-role.yaml', 'kubernetes-role-helm.yaml'];
  // Both the worker of this process and the helm that it starts read it.
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, wanted, { files });
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(wanted));
  process.env.KUBECONFIG = admin;
});

async function startWith(release: Name): Promise<string> {
  await releases.release(release, {
    ...{ image: v1, 'migration.enabled': true, 'store.enabled': true },
  });
  await releases.release(release, {
    ...{ image: v2, 'migration.enabled': true, 'store.enabled': true, 'worker.enabled': true },
    'store.image': 'wakala/store:2.0.0',
  });
  return env.start({ release, context: release });
}

test.concurrent(
  'the roles are enough for a release of the sandbox with all its parts',
  async () => {
    const result = await env.result(await startWith('full'));

    expect(result.message).toContain('back to revision 1');
    expect(result.outcome).toBe('rolled-back');
    expect(await releases.standing('full')).toBe('3 deployed');
    expect(await releases.deployments('full')).toEqual(['full']);
  },
);

describe('without', () => {
  test.concurrent('list secrets nothing is begun, and the role is named', async () => {
    const result = await env.result(await startWith('no-list'));

    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(/403.*deploy\/kubernetes-role-helm\.yaml/);
    expect(await releases.standing('no-list')).toBe('2 deployed');
  });

  test.concurrent.each<[string, Name]>([
    ['patch secrets', 'no-note'],
    ['create secrets', 'no-create'],
  ])('%s the plan is refused, which says so', async (right, name) => {
    const result = await env.result(await startWith(name));

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`may not ${right} in namespace ${env.cluster.namespace}`);
    expect(result.message).toContain('deploy/kubernetes-role-helm.yaml');
    expect(await releases.standing(name)).toBe('2 deployed');
  });

  test.concurrent.each<[string, Name]>([
    ['patch services', 'no-change'],
    ['delete jobs', 'no-hook'],
  ])('%s, which only the chart needs, the plan is refused as well', async (right, name) => {
    const result = await env.result(await startWith(name));

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`may not ${right} in namespace ${env.cluster.namespace}`);
    expect(result.message).toContain('deploy/kubernetes-role-helm.yaml');
    expect(await releases.standing(name)).toBe('2 deployed');
  });
});
