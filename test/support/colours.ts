/** A Service with two colours, as teams keep them, and who gets its traffic. */
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import { colourManifest, serviceManifest } from '../../sandbox/kubernetes/manifests.ts';

interface Endpoint {
  conditions: { ready?: boolean };
  targetRef: { name: string };
}

interface Wanted {
  blue?: { image?: string; replicas?: number };
  green?: { image?: string; replicas?: number };
}

export const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

/** Makes Deployments NAME-blue and NAME-green, and a Service NAME that sends its traffic to green. */
export async function makeColours(
  cluster: TestCluster,
  name: string,
  { blue = {}, green = {} }: Wanted = {},
): Promise<void> {
  await cluster.apply([
    colourManifest(name, 'blue', blue.image ?? v1, { replicas: blue.replicas ?? 2 }),
    colourManifest(name, 'green', green.image ?? v2, { replicas: green.replicas ?? 2 }),
    serviceManifest(name, { app: name, version: 'green' }),
  ]);
  if (!/broken|crash|pull/.test(blue.image ?? '')) await cluster.rollout(`${name}-blue`);
  await cluster.rollout(`${name}-green`);
  await untilServed(cluster, name, 'green', green.replicas ?? 2);
}

/** Waits until a Service has so many ready endpoints, all of one colour. */
export async function untilServed(
  cluster: TestCluster,
  name: string,
  colour: string,
  count: number,
): Promise<void> {
  await eventually(`${name} is served by ${count} ${colour} pods`, async () => {
    const pods = await endpoints(cluster, name);
    return pods.length === count && pods.every((pod) => pod.startsWith(`${name}-${colour}-`));
  });
}

/** Pods that are ready endpoints of a Service. */
export async function endpoints(cluster: TestCluster, name: string): Promise<string[]> {
  const selector = `kubernetes.io/service-name=${name}`;
  // A Service without pods has a slice whose endpoints are null.
  const slices = await cluster.list<{ endpoints: Endpoint[] | null }>('endpointslice', selector);
  return slices
    .flatMap((slice) => slice.endpoints ?? [])
    .filter((endpoint) => endpoint.conditions.ready)
    .map((endpoint) => endpoint.targetRef.name);
}

/** Follows a Service's endpoints; `stop` answers the fewest that were ready at any moment. */
export async function watchFewest(
  cluster: TestCluster,
  name: string,
): Promise<{ stop(): Promise<number> }> {
  const selector = ['-l', `kubernetes.io/service-name=${name}`];
  const watch = await cluster.watch('endpointslices', selector, '{.endpoints[*].conditions.ready}');
  return {
    async stop() {
      const seen = await watch.stop();
      return Math.min(...seen.map((line) => line.split(' ').filter((it) => it === 'true').length));
    },
  };
}

/** Where a Service sends its traffic and how many replicas each colour is to have. */
export async function standing(cluster: TestCluster, name: string) {
  const [{ spec }, blue, green] = await Promise.all([
    cluster.get<{ spec: { selector: Record<string, string> } }>('service', name),
    cluster.deployment(`${name}-blue`),
    cluster.deployment(`${name}-green`),
  ]);
  return { ...spec.selector, blue: blue.spec?.replicas, green: green.spec?.replicas };
}
