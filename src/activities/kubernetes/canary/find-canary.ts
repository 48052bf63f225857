/** What is the canary of a service, and where else its requests may go. */
import { refused } from '../../failures.ts';
import { inWords } from '../objects.ts';
import type { Deployment } from '../deployment/revisions.ts';
import type { Labels } from '../service/service.ts';
import { destinationsIn, type Mesh, portsOf, selectorOf } from './mesh.ts';
import { type Destination, type Route, turnFrom, type Turned, UnclearRoute } from './routes.ts';
import type { Router } from './mesh.ts';
import type { Sides } from './sides.ts';

/** What was said about a service: by the run's input, or by the settings. */
export interface Asked {
  service: string;
  canary: string | undefined;
  stable: string | undefined;
}

/** Name of the Deployment of a canary where its pods do not tell, as the runbook has it. */
export function canaryName({ service, canary }: Asked): string {
  return canary ?? `${service}-canary`;
}

/**
 * Destinations that are the canary: by default the subset `canary` of the service and the Service
 * NAME-canary, whichever there are; else those whose pods are those of the Deployment NAME-canary
 * alone. Another name takes the place of both. Empty where there is none.
 */
export function findCanary(
  mesh: Mesh,
  deployments: readonly Deployment[],
  asked: Asked,
): Destination[] {
  const { service } = asked;
  const known = [...destinationsIn(mesh)].filter((destination) => destination !== service);
  const subset = `${service}/${asked.canary ?? 'canary'}`;
  const found = known.filter((name) => name === subset || name === canaryName(asked));
  const deployment = deployments.find(({ metadata }) => metadata?.name === canaryName(asked));
  if (found.length > 0 || !deployment) return found;
  const byPods = known.filter((destination) => {
    const selector = selectorOf(mesh, destination);
    const isOwn = destination.startsWith(`${service}/`) || !destination.includes('/');
    if (!selector || !isOwn) return false;
    return deployments.every(
      (other) => matches(selector, podLabels(other)) === (other === deployment),
    );
  });
  // Nothing leads to its pods any more, and it is there all the same.
  return byPods.length > 0 ? byPods : [subset];
}

/** Labels of the pods that a Deployment makes. */
export function podLabels({ spec }: Deployment): Labels {
  return spec?.template.metadata?.labels ?? {};
}

export function matches(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Destinations that are the service or a part of it. */
function isOfService(service: string): (destination: Destination) => boolean {
  return (destination) => destination === service || destination.startsWith(`${service}/`);
}

/** Who gets the requests of the service now, apart from its canary. */
function serving(mesh: Mesh, service: string, canary: readonly Destination[]): Destination[] {
  const isConcerned = (destination: Destination) =>
    isOfService(service)(destination) || canary.includes(destination);
  const destinations = mesh.routers
    .flatMap(({ routes }) => routes)
    .filter((route) => route.destinations.some(({ destination }) => isConcerned(destination)))
    .flatMap((route) => route.destinations.filter(({ share }) => share > 0))
    .map(({ destination }) => destination);
  return [...new Set(destinations)].filter((destination) => !canary.includes(destination));
}

/**
 * Says why there is nothing to take out where no canary was found.
 * @returns that the service has no canary
 * @throws Refused where it may have one that goes by another name, or there are no routes to it.
 */
export function withoutCanary(mesh: Mesh, asked: Asked, canary: readonly Destination[]): string {
  const { service } = asked;
  const { cluster, namespace } = mesh;
  if (!mesh.hasRouters) {
    throw refused(
      `Context ${cluster.context} has neither Istio's VirtualServices nor the Gateway API's HTTPRoutes, so no traffic is shared out by weight: roll the Deployment itself back, with rollback deployment NAME -n ${namespace}.`,
    );
  }
  const now = serving(mesh, service, canary);
  if (now.length === 0) {
    const routed = [
      ...new Set(
        mesh.routers
          .flatMap(({ routes }) => routes)
          .flatMap(({ destinations }) => destinations.map(({ destination }) => destination)),
      ),
    ];
    throw refused(
      `No VirtualService or HTTPRoute in ${namespace} sends anything to ${service}: those there send to ${routed.slice(0, 10).join(', ') || 'nobody'}.`,
    );
  }
  if (now.length > 1 || asked.canary !== undefined) {
    const name = asked.canary ?? `${service}/canary or ${service}-canary`;
    throw refused(
      `${service} in ${namespace} has no canary ${name}: its requests go to ${now.join(', ')}. Name the canary with --canary.`,
    );
  }
  return `${service} in ${namespace} has no canary: all its requests go to ${now.join()}, nothing to do.`;
}

/** A router's turned routes. */
export interface TurnedRouter extends Pick<Turned, 'after' | 'lines'> {
  router: Router;
}

/**
 * Turns every route that sends something to the canary, and tells who gets its requests. A route with
 * a stable destination decides for those that have the canary alone.
 * @throws Refused where a route's requests could go to several, or to nobody that is known.
 */
export function turnRoutes(
  mesh: Mesh,
  canary: readonly Destination[],
  asked: Asked,
): { turned: TurnedRouter[]; sides: Sides } {
  const { service, stable: wanted } = asked;
  const exists = (destination: Destination) => selectorOf(mesh, destination) !== undefined;
  const isUsable = (destination: Destination) =>
    exists(destination) && !canary.includes(destination);
  const byName = wanted === undefined ? [] : [`${service}/${wanted}`, wanted].filter(isUsable);
  if (wanted !== undefined && byName.length === 0) {
    throw refused(
      `${service} in ${mesh.namespace} has no stable side ${wanted}: there is neither a subset nor a Service of that name with a selector.`,
    );
  }
  const usual = [`${service}/stable`, `${service}-stable`, `${service}-primary`].filter(isUsable);
  const listens = (destination: Destination, port: number | undefined) =>
    port === undefined || portsOf(mesh, destination).includes(port);
  const found: Destination[] = [];
  const routes = mesh.routers.flatMap((router) =>
    router.routes.map((route) => ({ router, route })),
  );
  const hasOthers = ({ route }: (typeof routes)[number]) =>
    route.destinations.some(({ destination }) => !canary.includes(destination));
  const turnedRoutes = new Map<Route, Turned>();
  for (const { router, route } of [
    ...routes.filter(hasOthers),
    ...routes.filter((one) => !hasOthers(one)),
  ]) {
    const stable =
      wanted === undefined ? [...usual, ...found, ...[service].filter(isUsable)] : byName;
    const takers = { stable, areNamed: wanted !== undefined, listens };
    const turned = turnOrRefuse(mesh, router, route, () => turnFrom(route, canary, takers));
    if (turned.lines.length === 0) continue;
    found.push(...turned.stable.filter((destination) => !found.includes(destination)));
    turnedRoutes.set(route, turned);
  }
  const stable = found.length > 0 ? found : serving(mesh, service, canary);
  const unknown = stable.filter((destination) => !exists(destination));
  if (unknown.length > 0) {
    throw refused(
      `${unknown.join(' and ')} in ${mesh.namespace} cannot get the canary's requests: there is no Service with a selector, or no DestinationRule that makes the subset, so nobody can tell whether its pods are ready. Name another with --stable.`,
    );
  }
  const turned = mesh.routers
    .map((router): TurnedRouter => {
      const all = router.routes.flatMap((route) => {
        const one = turnedRoutes.get(route);
        return one ? [{ ...one, where: whereIs(mesh, router, route) }] : [];
      });
      return {
        router,
        after: Object.fromEntries(all.flatMap(({ after }) => Object.entries(after))),
        lines: all.flatMap(({ where, lines }) => lines.map((line) => `${where}: ${line}`)),
      };
    })
    .filter(({ lines }) => lines.length > 0);
  return { turned, sides: { canary, stable } };
}

function turnOrRefuse(mesh: Mesh, router: Router, route: Route, turn: () => Turned): Turned {
  try {
    return turn();
  } catch (error) {
    if (!(error instanceof UnclearRoute)) throw error;
    throw refused(
      `${whereIs(mesh, router, route)} ${error.message}: say with --stable who gets the canary's requests.`,
    );
  }
}

function whereIs({ namespace }: Mesh, { kind, object }: Router, { name }: Route): string {
  return `${inWords({ kind, namespace, name: object.metadata?.name ?? '' })}: ${name}`;
}
