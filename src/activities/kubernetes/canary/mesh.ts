/** What decides in a namespace where requests go: routes, subsets and Services. */
import { type DestinationRule, subsetLabels, subsetsOf } from '../../istio/destination-rule.ts';
import { type VirtualService, virtualServiceRoutes } from '../../istio/virtual-service.ts';
import { type HttpRoute, httpRouteRoutes } from '../../gateway-api/http-route.ts';
import type { TargetKind } from '../../../contract/plan.ts';
import type { Cluster, ListOf } from '../api.ts';
import { inWords, type KubernetesObject, objectPath } from '../objects.ts';
import type { Labels, Service } from '../service/service.ts';
import { stale } from '../../failures.ts';
import { type CanaryTraffic, type Destination, type Route, trafficTo } from './routes.ts';

/** An object whose routes share requests out. */
export interface Router {
  kind: 'virtualservice' | 'httproute';
  object: KubernetesObject;
  routes: Route[];
}

/** The routers of a namespace. */
export interface Routers {
  cluster: Cluster;
  namespace: string;
  /** Whether the cluster knows any kind of router. */
  hasRouters: boolean;
  routers: Router[];
}

export interface Mesh extends Routers {
  rules: DestinationRule[];
  services: Service[];
}

/** Reads the routers of a namespace; kinds that are not installed are not there. */
export async function readRouters(cluster: Cluster, namespace: string): Promise<Routers> {
  const [virtualServices, httpRoutes] = await Promise.all([
    list<VirtualService>(cluster, 'virtualservice', namespace),
    list<HttpRoute>(cluster, 'httproute', namespace),
  ]);
  return {
    ...{ cluster, namespace },
    hasRouters: virtualServices !== undefined || httpRoutes !== undefined,
    routers: [
      ...routersOf('virtualservice', virtualServices ?? []),
      ...routersOf('httproute', httpRoutes ?? []),
    ],
  };
}

/** Reads the routers of a namespace with the subsets and Services that they send to. */
export async function readMesh(cluster: Cluster, namespace: string): Promise<Mesh> {
  const [routers, rules = [], services = []] = await Promise.all([
    readRouters(cluster, namespace),
    list<DestinationRule>(cluster, 'destinationrule', namespace),
    list<Service>(cluster, 'service', namespace),
  ]);
  return { ...routers, rules, services };
}

/** All of a kind; undefined where it is not installed. */
async function list<T>(
  cluster: Cluster,
  kind: TargetKind,
  namespace: string,
): Promise<T[] | undefined> {
  return (await cluster.find<ListOf<T>>(objectPath(kind, namespace)))?.items;
}

function routersOf(kind: Router['kind'], objects: KubernetesObject[]): Router[] {
  return objects.map((object) => ({ kind, object, routes: routesIn(kind, object) }));
}

/** The routes of a router of this kind. */
export function routesIn(kind: TargetKind, object: KubernetesObject): Route[] {
  return kind === 'httproute' ? httpRouteRoutes(object) : virtualServiceRoutes(object);
}

/** Every destination that is named or made somewhere. */
export function destinationsIn({ routers, rules, services }: Mesh): Set<Destination> {
  const routes = routers.flatMap((router) => router.routes);
  return new Set([
    ...routes.flatMap(({ destinations, mirrors }) => [...destinations, ...mirrors]).map(nameOf),
    ...rules.flatMap(subsetsOf),
    ...services.map(({ metadata }) => metadata?.name ?? ''),
  ]);
}

function nameOf({ destination }: { destination: Destination }): Destination {
  return destination;
}

/**
 * Labels of the pods that requests for a destination reach; undefined where there is no such Service or
 * subset, or the Service has no selector.
 */
export function selectorOf(
  { services, rules }: Mesh,
  destination: Destination,
): Labels | undefined {
  const [name, subset] = destination.split('/');
  const selector = services.find(({ metadata }) => metadata?.name === name)?.spec?.selector;
  const labels = subset === undefined ? {} : subsetLabels(rules, destination);
  if (!selector || Object.keys(selector).length === 0 || !labels) return undefined;
  return { ...selector, ...labels };
}

/** Ports that the Service of a destination listens on. */
export function portsOf({ services }: Mesh, destination: Destination): number[] {
  const [name] = destination.split('/');
  const service = services.find(({ metadata }) => metadata?.name === name);
  return (service?.spec?.ports ?? []).map(({ port }) => port);
}

/** What is sent to the canary anywhere in the namespace; empty where that is nothing. */
export function canaryTraffic(
  { namespace, routers }: Routers,
  canary: readonly Destination[],
): CanaryTraffic[] {
  return routers.flatMap(({ kind, object, routes }) => {
    const router = inWords({ kind, namespace, name: object.metadata?.name ?? '' });
    return routes
      .flatMap((route) => trafficTo(route, canary))
      .map(({ fields, text }) => ({ fields, text: `${router}: ${text}` }));
  });
}

/**
 * Measures that no route sends anything to the canary.
 * @throws PlanStale naming those that do.
 */
export function assertNoTraffic(routers: Routers, canary: readonly Destination[]): void {
  const found = canaryTraffic(routers, canary).map(({ text }) => text);
  if (found.length === 0) return;
  throw stale(
    `The canary gets traffic, so it stays as it is (${found.join('; ')}): find out who sends it there, take that back, and try again.`,
  );
}
