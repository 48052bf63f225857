import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import {
  makeServiceAccounts,
  type Missing,
  removeClusterRoles,
} from './support/service-accounts.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const missing = (verb: string, resource: string, kind: Missing['kind'] = 'Role'): Missing => ({
  ...{ kind, verb, resource },
});

/** By the name of service account and Deployment: what it lacks. */
const wanted = {
  full: undefined,
  'no-get': missing('get', 'deployments'),
  'no-list': missing('list', 'deployments'),
  'no-watch': missing('watch', 'deployments'),
  'no-patch': missing('patch', 'deployments'),
  'no-history': missing('list', 'replicasets'),
  'no-pods': missing('list', 'pods', 'both'),
  'no-pod-watch': missing('watch', 'pods'),
  'no-logs': missing('get', 'pods/log'),
  'no-quotas': missing('list', 'resourcequotas'),
  'no-limits': missing('list', 'limitranges'),
  'no-nodes': missing('list', 'nodes', 'ClusterRole'),
  'no-neighbours': missing('list', 'pods', 'ClusterRole'),
  'no-namespaces': missing('get', 'namespaces', 'ClusterRole'),
} as const satisfies Record<string, Missing | undefined>;
type Name = keyof typeof wanted;

const logs = (name: Name) => ({
  [name]: { deployment: name, checks: { logs: { selector: `app=${name}`, retries: 0 } } },
});
const env = useRollbackEnvironment({ services: { ...logs('full'), ...logs('no-logs') } });
const admin = process.env.KUBECONFIG;
const names = Object.keys(wanted) as Name[];

beforeAll(async () => {
  // The worker of this process reads it when it first hears of a context.
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, wanted);
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, names);
  process.env.KUBECONFIG = admin;
});

/** Rolls back the Deployment of this name with the worker's rights cut down as it says. */
async function rollBackWith(name: Name, to = v1): Promise<RunResult> {
  return env.result(await startWith(name, to));
}

async function startWith(name: Name, to = v1): Promise<string> {
  await env.cluster.kubectl('create', 'deployment', name, `--image=${to}`, '--replicas=2');
  await env.cluster.release(name, v2);
  return env.start({ deployment: name, context: name });
}

test.concurrent(
  'the role is enough for a whole rollback, at the fast pace and with checks',
  async () => {
    const result = await rollBackWith('full');

    expect(result.message).toContain('back to revision 1');
    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.changes[0]?.after.surge).toBe(true);
    expect(result.steps.map(({ title, state }) => `${title}: ${state}`)).toEqual([
      'Restore the pod template: done',
      'Wait for every replica: done',
      'Check logs: done',
    ]);
  },
);

describe('without', () => {
  test.concurrent.each<[string, Name]>([
    ['get deployments', 'no-get'],
    ['list replicasets', 'no-history'],
    ['list pods', 'no-pods'],
  ])('%s nothing is begun, and the role is named', async (_, name) => {
    const result = await rollBackWith(name);
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(/403.*deploy\/kubernetes-role\.yaml/);
    expect(await env.cluster.image(name)).toBe(v2);
  });

  test.concurrent.each<[string, Name]>([
    ['patch deployments', 'no-patch'],
    ['watch deployments', 'no-watch'],
    ['watch pods', 'no-pod-watch'],
  ])('%s the plan is refused, which says so', async (right, name) => {
    const result = await rollBackWith(name);
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(
      `may not ${right} in namespace ${env.cluster.namespace} of context ${name}`,
    );
    expect(result.message).toContain('deploy/kubernetes-role.yaml');
    expect(await env.cluster.image(name)).toBe(v2);
  });

  test.concurrent('get pods/log the run pauses at the check and says so', async () => {
    const result = await env.untilPaused(await startWith('no-logs'));
    expect(result.message).toMatch(
      /cannot get resource "pods\/log".*deploy\/kubernetes-role\.yaml/,
    );
    expect(await env.cluster.image('no-logs')).toBe(v1);
  });

  test.concurrent.each<[string, Name, string]>([
    ['list resourcequotas', 'no-quotas', 'its quotas'],
    ['list limitranges', 'no-limits', 'its quotas'],
    ['list nodes', 'no-nodes', 'the nodes'],
    ['list pods of other namespaces', 'no-neighbours', 'the nodes'],
  ])('%s the plan says why it takes the steady pace', async (_, name, words) => {
    const result = await rollBackWith(name);
    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.changes[0]?.after.surge).toBe(false);
    expect(result.plan?.warnings.join('\n')).toContain(`the worker may not read ${words}`);
  });

  test.concurrent('list deployments a rollback that lacks nothing else goes on', async () => {
    const result = await rollBackWith('no-list');
    expect(result.outcome).toBe('rolled-back');
  });

  test.concurrent('get namespaces a wrong name is not told from a wrong namespace', async () => {
    const result = await env.run({ deployment: 'absent', context: 'no-namespaces' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('cannot get resource "namespaces"');
  });
});

describe('rollback doctor tells beforehand', () => {
  test.concurrent.each(names.filter((name) => wanted[name]?.kind !== 'ClusterRole'))(
    'what the worker lacks: %s',
    async (name) => {
      const settings = { kubernetes: { context: name, namespace: env.cluster.namespace } };
      const cli = new CommandLine({
        TEMPORAL_ADDRESS: env.temporal.address,
        ROLLBACK_CONFIG: settingsFileWith(JSON.stringify(settings)),
        KUBECONFIG: process.env.KUBECONFIG,
      });

      const [findings] = await cli.json<{ what: string; ok: boolean; text: string }[]>('doctor');

      const found = findings?.find(({ what }) => what === 'permissions');
      const lacks = wanted[name];
      expect(found?.ok).toBe(lacks === undefined);
      if (lacks) expect(found?.text).toContain(`: ${lacks.verb} ${lacks.resource}; apply deploy/`);
    },
  );
});
