/** Who gets a Service's traffic, and who would get it. */
import type { V1Endpoint, V1EndpointSlice } from '@kubernetes/client-node';
import type { Cluster, ListOf, Wire } from '../api.ts';
import { podsPath, readySince, type Pod } from '../pods.ts';

export type EndpointSlice = Wire<V1EndpointSlice>;
type Endpoint = Wire<V1Endpoint>;

/** Label of an EndpointSlice that names its Service. */
export const serviceNameLabel = 'kubernetes.io/service-name';

export function endpointSlicesPath(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
}

/** Selects the EndpointSlices of a Service. */
export function slicesOf(service: string): { labelSelector: string } {
  return { labelSelector: `${serviceNameLabel}=${service}` };
}

/** Endpoints of one Service, by the pods they are; an endpoint that is no pod goes by its address. */
export interface ServiceEndpoints {
  ready: string[];
  notReady: string[];
}

/**
 * Endpoints of a Service. A pod stands in several slices where it has several families of addresses
 * or ports, and counts once.
 */
export function endpointsIn(slices: readonly EndpointSlice[]): ServiceEndpoints {
  const endpoints = slices.flatMap((slice) => slice.endpoints ?? []);
  const ready = new Set(endpoints.filter(isReady).map(nameOf));
  const notReady = new Set(endpoints.map(nameOf).filter((name) => !ready.has(name)));
  return { ready: [...ready].sort(), notReady: [...notReady].sort() };
}

/** Reads the endpoints that a Service has now. */
export async function readEndpoints(
  cluster: Cluster,
  namespace: string,
  service: string,
): Promise<ServiceEndpoints> {
  const path = endpointSlicesPath(namespace);
  const { items } = await cluster.get<ListOf<EndpointSlice>>(path, slicesOf(service));
  return endpointsIn(items);
}

/** Pods that would get a Service's traffic if it had this selector: those that match and are ready. */
export async function readyPods(
  cluster: Cluster,
  namespace: string,
  selector: string,
): Promise<Pod[]> {
  // An empty selector would mean all pods to the API server, and means none to a Service.
  if (selector === '') return [];
  const query = { labelSelector: selector };
  const { items } = await cluster.get<ListOf<Pod>>(podsPath(namespace), query);
  return items.filter(isServing);
}

function isServing(pod: Pod): boolean {
  return readySince(pod) !== undefined && pod.metadata?.deletionTimestamp === undefined;
}

/** An endpoint that does not say so is ready (EndpointConditions in the API reference). */
function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}

function nameOf({ targetRef, addresses }: Endpoint): string {
  return targetRef?.kind === 'Pod' ? (targetRef.name ?? '') : (addresses[0] ?? '');
}
