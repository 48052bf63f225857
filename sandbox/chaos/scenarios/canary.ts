/** The rollback of a canary, on Istio and on the Gateway API. */
import { execa } from 'execa';
import { gatewayCanary, istioCanary, to, weightedRollout } from '../../kubernetes/canaries.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'web';

export const canaryScenarios: readonly Scenario[] = [
  {
    name: 'canary is taken out of a VirtualService',
    settings: ({ namespace, health }) => settings(namespace, `${health}/green`),
    prepare: (place) => prepare(place, istioCanary(name, { replicas: { canary: 2 } })),
    outcome: 'rolled-back',
    world: canaryWorld,
  },
  {
    name: 'canary is aborted and gets its HTTPRoute back',
    settings: ({ namespace, health }) => settings(namespace, `${health}/red`),
    prepare: (place) => prepare(place, gatewayCanary(name, { replicas: { canary: 2 } })),
    async people(place) {
      await place.decideWhen('paused', 'abort', 'on-call');
    },
    outcome: 'aborted',
    world: canaryWorld,
  },
  {
    name: 'canary of a Rollout is aborted, and that is taken back',
    settings: ({ namespace, health }) => settings(namespace, `${health}/red`),
    async prepare(place) {
      const args = await prepare(place, [...istioCanary(name), weightedRollout(name)]);
      await patch(place, 'rollout', { status: { currentPodHash: 'new', stableRS: 'old' } });
      return args;
    },
    async people(place) {
      await place.look(async () => (await statusOf(place)).abort === true);
      // What its controller does then.
      const route = [to(name, 'stable', { weight: 100 }), to(name, 'canary', { weight: 0 })];
      await patch(place, 'virtualservice', { spec: { http: [{ route }] } });
      await place.decideWhen('paused', 'abort', 'on-call');
    },
    outcome: 'aborted',
    async world(place) {
      const { status } = await place.get<Rollout>('rollout', name);
      return { ...(await canaryWorld(place)), abort: status?.abort };
    },
  },
];

interface Rollout {
  status?: { abort?: boolean };
}

async function statusOf(place: Place): Promise<NonNullable<Rollout['status']>> {
  return (await place.get<Rollout>('rollout', name)).status ?? {};
}

/** Changes the object of the service's name; what a controller says goes to its status. */
async function patch({ kubectl }: Place, kind: string, fields: object): Promise<void> {
  const status = 'status' in fields ? ['--subresource=status'] : [];
  await kubectl('patch', kind, name, ...status, '--type=merge', '-p', JSON.stringify(fields));
}

function settings(namespace: string, url: string): object {
  const checks = { health: { url, retries: 0 } };
  return { services: { [name]: { namespace, service: name, checks } } };
}

async function prepare({ kubectl, namespace }: Place, objects: object[]): Promise<string[]> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await execa('kubectl', ['-n', namespace, 'apply', '-f', '-'], { input: JSON.stringify(list) });
  for (const deployment of [`${name}-stable`, `${name}-canary`]) {
    await kubectl('rollout', 'status', `deployment/${deployment}`, '--timeout=60s');
  }
  return ['canary', name, '-n', namespace];
}

interface Item {
  kind: string;
  metadata: { name: string; generation?: number; annotations?: Record<string, string> };
  spec: object & { replicas?: number };
}

/** What is there of the service, with every change of its spec counted, so that one made twice is seen. */
async function canaryWorld({ kubectl }: Place): Promise<object> {
  const kinds = 'deployments,virtualservices,destinationrules,httproutes';
  const { items } = JSON.parse(await kubectl('get', kinds, '-o', 'json')) as { items: Item[] };
  const pods = await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.labels.version}');
  return {
    pods: pods.split(' ').sort(),
    objects: items.map(({ kind, metadata, spec }) => ({
      ...{ kind, name: metadata.name, generation: metadata.generation },
      annotations: Object.keys(metadata.annotations ?? {})
        .filter((key) => !key.startsWith('kubectl.'))
        .sort(),
      spec: kind === 'Deployment' ? spec.replicas : spec,
    })),
  };
}
