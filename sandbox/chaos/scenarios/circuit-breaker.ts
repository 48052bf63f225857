/** The circuit breaker and what is restarted for it, disturbed. */
import { consumerManifest } from '../../kubernetes/manifests.ts';
import type { Place } from '../place.ts';
import type { Scenario } from '../scenario.ts';

const name = 'web';
const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };

function circuitBreaker(about: Partial<Scenario> & Pick<Scenario, 'name'>): Scenario {
  return {
    settings: ({ namespace, health }) => ({
      services: {
        [name]: { namespace, deployment: name, checks: { health: { url: `${health}/green` } } },
      },
    }),
    async prepare(place) {
      await place.apply([
        { ...configMap, data: { CIRCUIT_BREAKER_ENABLED: 'false', OTHER: 'stays' } },
        consumerManifest(name, name),
      ]);
      await place.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      return ['circuit-breaker', 'open', '--config-map', name, '-n', place.namespace];
    },
    outcome: 'rolled-back',
    world,
    ...about,
  };
}

export const circuitBreakerScenarios: readonly Scenario[] = [
  circuitBreaker({ name: 'circuit breaker is opened' }),
  circuitBreaker({
    name: 'circuit breaker is aborted and closed',
    outcome: 'aborted',
    settings: ({ namespace, health }) => ({
      services: {
        [name]: {
          ...{ namespace, deployment: name },
          checks: { health: { url: `${health}/red`, retries: 0 } },
        },
      },
    }),
    async people(place) {
      await place.decideWhen('paused', 'abort', 'on-call');
    },
  }),
];

interface Found {
  metadata: { uid: string; generation?: number; annotations?: Record<string, string> };
}

/** The values, and how often their reader was changed. */
async function world(place: Place) {
  const [values, reader] = await Promise.all([
    place.get<Found & { data: Record<string, string> }>('configmap', name),
    place.get<Found & { status: { availableReplicas?: number } }>('deployment', name),
  ]);
  return {
    data: values.data,
    annotations: [values, reader].map(({ metadata }) => Object.keys(metadata.annotations ?? {})),
    generation: reader.metadata.generation,
    available: reader.status.availableReplicas,
    isLocked: await place.isLocked('configmap', name, values.metadata.uid),
  };
}
