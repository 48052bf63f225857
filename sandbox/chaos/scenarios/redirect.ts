/** The redirect to the maintenance page, disturbed. */
import { colourManifest, ingressManifest, serviceManifest } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const page = 'page';
const hosts = { owned: 'shop.example.com', free: 'blog.example.com' };

const redCheck = (health: string) => ({ health: { url: `${health}/red`, retries: 0 } });

function redirect(host: string, about: Partial<Scenario> & Pick<Scenario, 'name'>): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      maintenance: { service: page },
      services: {
        web: { namespace, service: 'web', checks: redCheck(health) },
        // The redirect that is taken back was green.
        page: { namespace, service: page, checks: host === hosts.free ? redCheck(health) : {} },
      },
    }),
    async prepare(place) {
      // A host of the cluster's own: Ingresses of other runs stand beside it.
      const own = `${place.namespace}.${host}`;
      await place.apply([
        ...[page, 'web'].flatMap((name) => [
          colourManifest(name, 'blue', 'wakala/api:1.0.0', { replicas: 1 }),
          serviceManifest(name, { app: name }),
        ]),
        ...(host === hosts.owned ? [ingressManifest('shop', own, 'web')] : []),
      ]);
      await place.kubectl('rollout', 'status', `deployment/${page}-blue`, '--timeout=60s');
      await place.kubectl('rollout', 'status', 'deployment/web-blue', '--timeout=60s');
      await place.untilServed(page);
      return ['redirect', 'on', '--host', own, '-n', place.namespace];
    },
    outcome: 'aborted',
    world,
    ...about,
  };
}

export const redirectScenarios: readonly Scenario[] = [
  redirect(hosts.free, {
    name: 'a host without an Ingress is redirected, and aborted because of a red check',
    async people(place) {
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
  redirect(hosts.owned, {
    name: 'a redirect is taken back, and again because of a red check',
    async prepare(place) {
      const args = await redirect(hosts.owned, { name: '' }).prepare(place);
      await place.rollbackOnce(...args);
      return args.map((arg) => (arg === 'on' ? 'off' : arg));
    },
    async people(place) {
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
];

interface Ingress {
  metadata: { name: string; uid: string; annotations?: Record<string, string> };
  spec: { rules: { http: { paths: { backend: object }[] } }[] };
}

/** Every Ingress, and where it sends its traffic. */
async function world(place: Place) {
  const { items } = await place.get<{ items: Ingress[] }>('ingresses');
  return Promise.all(
    items.map(async ({ metadata, spec }) => ({
      name: metadata.name.replace(place.namespace, ''),
      annotations: Object.keys(metadata.annotations ?? {}),
      backends: spec.rules.flatMap(({ http }) => http.paths.map(({ backend }) => backend)),
      isLocked: await place.isLocked('ingress', metadata.name, metadata.uid),
    })),
  );
}
