/** The rollback of a Service's traffic to its other colour, disturbed. */
import { colourManifest, serviceManifest } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'web';

function blueGreen(about: Partial<Scenario> & Pick<Scenario, 'name'>): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, service: name, blueGreen: { soak: '1s' } },
          checks: { health: { url: `${health}/green` } },
        },
      },
    }),
    async prepare(place) {
      await makeColours(place);
      return ['blue-green', name, '-n', place.namespace, '--delete'];
    },
    outcome: 'rolled-back',
    world: coloursWorld,
    ...about,
  };
}

export const blueGreenScenarios: readonly Scenario[] = [
  blueGreen({ name: 'blue-green switches and deletes what is left' }),
  blueGreen({
    name: 'blue-green is aborted and goes back',
    outcome: 'aborted',
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, service: name },
          checks: { health: { url: `${health}/red`, retries: 0 } },
        },
      },
    }),
    async people(place) {
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
];

/** Blue sleeps, green is live. */
async function makeColours(place: Place): Promise<void> {
  await place.apply([
    colourManifest(name, 'blue', 'wakala/api:1.0.0', { replicas: 0 }),
    colourManifest(name, 'green', 'wakala/api:2.0.0-bad', { replicas: 2 }),
    serviceManifest(name, { app: name, version: 'green' }),
  ]);
  await place.kubectl('rollout', 'status', `deployment/${name}-green`, '--timeout=60s');
}

interface Deployment {
  metadata: { name: string; generation: number; annotations?: Record<string, string> };
  spec: { replicas: number };
}
interface Service {
  metadata: { uid: string; annotations?: Record<string, string> };
  spec: { selector: Record<string, string> };
}

/** Where the traffic goes, and what each colour has. */
async function coloursWorld(place: Place) {
  const [service, { items }] = await Promise.all([
    place.get<Service>('service', name),
    place.get<{ items: Deployment[] }>('deployments'),
  ]);
  return {
    selector: service.spec.selector,
    annotations: Object.keys(service.metadata.annotations ?? {}).sort(),
    deployments: items.map(({ metadata, spec }) => ({
      ...{ name: metadata.name, generation: metadata.generation, replicas: spec.replicas },
      annotations: Object.keys(metadata.annotations ?? {}).sort(),
    })),
    isLocked: await place.isLocked('service', name, service.metadata.uid),
  };
}
