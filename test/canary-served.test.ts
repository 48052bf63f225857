/** Clusters that have other versions of Istio and the Gateway API, or none, and a worker with less rights. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { gatewayCanary, istioCanary } from '../sandbox/kubernetes/canaries.ts';
import type { Plan } from '../src/contract/plan.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';
import { usePrivateCluster } from './support/private-cluster.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { makeServiceAccounts, type Missing } from './support/service-accounts.ts';

const privateCluster = usePrivateCluster();
const env = useRollbackEnvironment({}, { procedure: 'canary' });
const role = (verb: string, resource: string): Missing => ({ kind: 'Role', verb, resource });
/** Service accounts, each with a context of its own, so that nothing is remembered of another. */
const accounts = {
  newest: undefined,
  older: undefined,
  oldest: undefined,
  without: undefined,
  'no-list': role('list', 'virtualservices'),
  'no-patch': role('patch', 'virtualservices'),
  'no-delete': role('delete', 'destinationrules'),
};
const istio = ['virtualservices', 'destinationrules'].map((kind) => `${kind}.networking.istio.io`);
const gatewayApi = ['httproutes.gateway.networking.k8s.io'];

beforeAll(async () => {
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, accounts);
});
afterAll(() => privateCluster.down());

/** Makes a canary, and waits for the pods of both versions. */
async function make(name: string, objects: object[], version = 'v1'): Promise<void> {
  const text = JSON.stringify(objects)
    .replaceAll('networking.istio.io/v1', `networking.istio.io/${version}`)
    .replaceAll('gateway.networking.k8s.io/v1', `gateway.networking.k8s.io/${version}`);
  await env.cluster.apply(JSON.parse(text) as object[]);
  await env.cluster.rollout(`${name}-stable`);
  await env.cluster.rollout(`${name}-canary`);
}

/** Leaves only these versions of a kind served, and waits until the server says so. */
async function serve(definition: string, ...versions: string[]): Promise<void> {
  const read = await execa('kubectl', ['get', 'crd', definition, '-o', 'json']);
  const { spec } = JSON.parse(read.stdout) as { spec: { versions: { name: string }[] } };
  const patch = spec.versions.map(({ name }, index) => ({
    ...{ op: 'replace', path: `/spec/versions/${index}/served`, value: versions.includes(name) },
  }));
  await execa('kubectl', ['patch', 'crd', definition, '--type=json', '-p', JSON.stringify(patch)]);
  const [plural = '', ...group] = definition.split('.');
  const path = `/apis/${group.join('.')}/${versions[0]}`;
  const served = `until kubectl get --raw ${path} | grep -q '"${plural}"'; do sleep 0.1; done`;
  await execa('sh', ['-c', served], { timeout: 20_000 });
}

const weight = (kind: string, name: string, field: string) =>
  env.cluster.kubectl('get', kind, name, '-o', `jsonpath={${field}}`);

describe('the role of deploy/', () => {
  test('is enough for a whole run', async () => {
    await make('enough', istioCanary('enough'));
    const result = await env.run({ service: 'enough', context: 'newest' });
    expect(result.message).toContain('is taken out');
    expect(result.outcome).toBe('rolled-back');
  });

  test('with one right less nothing is begun, and it is said which', async () => {
    await make('lacking', istioCanary('lacking'));
    const refused = await env.run({ service: 'lacking', context: 'no-list' });
    expect(refused.outcome).toBe('refused');
    expect(refused.message).toMatch(/cannot list resource "virtualservices".*kubernetes-role.yaml/);

    const unturned = await env.run({ service: 'lacking', context: 'no-patch' });
    expect(unturned.outcome).toBe('refused');
    expect(unturned.message).toMatch(/may not patch virtualservices in .*kubernetes-role.yaml/);

    const left = await env.run({ service: 'lacking', context: 'no-delete' });
    expect(left.outcome).toBe('refused');
    expect(left.message).toMatch(/may not delete destinationrules in .*--keep/);
    const kept = { service: 'lacking', context: 'no-delete', keep: true };
    expect((await env.run(kept)).outcome).toBe('rolled-back');
  });
});

describe('without Temporal', () => {
  const cli = () =>
    new CommandLine({
      TEMPORAL_ADDRESS: nowhere,
      ROLLBACK_CONFIG: settingsFileWith(`kubernetes: { namespace: ${env.cluster.namespace} }`),
      KUBECONFIG: process.env.KUBECONFIG,
    });

  test('commands turn the routes, however often they are run, and delete nothing', async () => {
    await make('by-hand', [
      ...istioCanary('by-hand'),
      {
        ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService' },
        metadata: { name: 'testers' },
        spec: {
          hosts: ['testers'],
          http: [
            {
              route: [{ destination: { host: 'by-hand', subset: 'canary' } }],
              mirror: { host: 'by-hand', subset: 'canary' },
            },
          ],
        },
      },
    ]);
    const { stdout: commands } = await cli().run('plan', 'canary', 'by-hand', '--commands');

    await execa('sh', { input: commands });

    expect(await weight('virtualservice', 'by-hand', '.spec.http[0].route[*].weight')).toBe(
      '100 0',
    );
    const testers = await weight('virtualservice', 'testers', '.spec.http[0]');
    expect(JSON.parse(testers)).toEqual({
      route: [{ destination: { host: 'by-hand', subset: 'stable' } }],
      mirror: { host: 'by-hand', subset: 'canary' },
      mirrorPercentage: { value: 0 },
    });
    expect(await weight('deployment', 'by-hand-canary', '.spec.replicas')).toBe('0');
    const version = () =>
      env.cluster.kubectl(
        'get',
        'virtualservices',
        '-o',
        'jsonpath={.items[*].metadata.generation}',
      );
    const before = await version();

    await execa('sh', { input: commands });

    expect(await version()).toBe(before);
    const rest = commands.split('\n').filter((line) => /^# +(if|kubectl|fi)/.test(line));
    await execa('sh', { input: rest.map((line) => line.slice(1)).join('\n') });
    const [plan] = await cli().json<Plan>('plan', 'canary', 'by-hand');
    expect(plan?.changes).toEqual([]);
  });

  test('commands leave alone what somebody else has changed since', async () => {
    await make('overtaken', istioCanary('overtaken'));
    const { stdout: commands } = await cli().run('plan', 'canary', 'overtaken', '--commands');
    const patch = [{ op: 'replace', path: '/spec/http/0/route/1/weight', value: 20 }];
    await env.cluster.kubectl(
      ...['patch', 'virtualservice', 'overtaken', '--type=json', '-p', JSON.stringify(patch)],
    );

    const { exitCode, stderr } = await execa('sh', { input: commands, reject: false });

    expect(exitCode).toBe(1);
    expect(stderr).toContain('virtualservice overtaken is neither as it was planned');
    expect(await weight('deployment', 'overtaken-canary', '.spec.replicas')).toBe('1');
  });
});

describe('a cluster is asked for the versions that it serves', () => {
  test.each([
    ['v1beta1', 'older', ['v1beta1', 'v1alpha3']],
    ['v1alpha3', 'oldest', ['v1alpha3']],
  ])('of Istio: %s', async (version, context, served) => {
    for (const definition of istio) await serve(definition, ...served);
    await make(context, istioCanary(context), version);

    const result = await env.run({ service: context, context });

    expect(result.message).toContain('is taken out');
    expect(result.outcome).toBe('rolled-back');
    // kubectl remembers which version there was.
    const kind = `virtualservices.${version}.networking.istio.io`;
    expect(await weight(kind, context, '.spec.http[0].route[*].weight')).toBe('100 0');
  });

  test('of the Gateway API alone, where Istio is not there; and neither is said', async () => {
    await execa('kubectl', ['delete', 'crd', ...istio]);
    for (const definition of gatewayApi) await serve(definition, 'v1beta1');
    await make('alone', gatewayCanary('alone'), 'v1beta1');

    const result = await env.run({ service: 'alone', context: 'without' });

    expect(result.outcome).toBe('rolled-back');
    const weights = '.spec.rules[0].backendRefs[*].weight';
    const kind = 'httproutes.v1beta1.gateway.networking.k8s.io';
    expect(await weight(kind, 'alone', weights)).toBe('100 0');

    await execa('kubectl', ['delete', 'crd', ...gatewayApi]);
    const none = await env.run({ service: 'alone' });
    expect(none.outcome).toBe('refused');
    expect(none.message).toContain('neither Istio');
  });
});
