/** Which Services send traffic to given pods: what must be known before the pods are taken away. */
import type { Plan } from '../../../contract/plan.ts';
import type { Cluster, ListOf } from '../api.ts';
import type { Pod } from '../pods.ts';
import {
  endpointsIn,
  type EndpointSlice,
  endpointSlicesPath,
  serviceNameLabel,
} from './endpoints.ts';

/** A Service with endpoints among the pods. */
export interface Traffic {
  service: string;
  /** Its ready endpoints among the pods, and elsewhere. */
  here: number;
  elsewhere: number;
}

/**
 * Services of the namespace that have a ready endpoint among these pods.
 * @param pods may still be being read: each of the two lists may have to wait for the API server
 */
export async function trafficTo(
  cluster: Cluster,
  namespace: string,
  pods: readonly Pod[] | Promise<readonly Pod[]>,
): Promise<Traffic[]> {
  const query = { labelSelector: serviceNameLabel };
  const [{ items }, found] = await Promise.all([
    cluster.get<ListOf<EndpointSlice>>(endpointSlicesPath(namespace), query),
    pods,
  ]);
  const names = new Set(found.map(({ metadata }) => metadata?.name ?? ''));
  const byService = new Map<string, EndpointSlice[]>();
  for (const slice of items) {
    const service = slice.metadata?.labels?.[serviceNameLabel] ?? '';
    byService.set(service, [...(byService.get(service) ?? []), slice]);
  }
  return [...byService]
    .map(([service, slices]) => {
      const { ready } = endpointsIn(slices);
      const here = ready.filter((name) => names.has(name)).length;
      return { service, here, elsewhere: ready.length - here };
    })
    .filter(({ here }) => here > 0);
}

/**
 * Why the pods must stay: a Service of the plan still sends traffic to them, or another one would be
 * left with nobody. Undefined where they may go.
 */
export function whyPodsMustStay(
  traffic: readonly Traffic[],
  { targets }: Pick<Plan, 'targets'>,
): string | undefined {
  const own = targets.filter(({ kind }) => kind === 'service').map(({ name }) => name);
  const found = traffic.find(({ service, elsewhere }) => own.includes(service) || elsewhere === 0);
  if (!found) return undefined;
  const { service, here, elsewhere } = found;
  return `Service ${service} sends traffic to ${here} of them${elsewhere === 0 ? ' and has no other' : ''}`;
}
