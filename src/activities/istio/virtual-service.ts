/** Istio's VirtualService as routes with weights (networking.istio.io, HTTPRoute, TLSRoute, TCPRoute). */
import type {
  Destination,
  Mirror,
  Route,
  WeightedDestination,
} from '../kubernetes/canary/routes.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';

interface IstioDestination {
  host: string;
  subset?: string;
  port?: { number?: number };
}

interface IstioRoute {
  name?: string;
  route?: { destination: IstioDestination; weight?: number }[];
  mirror?: IstioDestination;
  mirrorPercentage?: { value?: number };
  /** Deprecated by mirrorPercentage, which wins where both are there. */
  mirrorPercent?: number;
  mirror_percent?: number;
  mirrors?: { destination: IstioDestination; percentage?: { value?: number } }[];
}

export interface VirtualService extends KubernetesObject {
  spec?: { http?: IstioRoute[]; tls?: IstioRoute[]; tcp?: IstioRoute[] };
}

const sections = ['http', 'tls', 'tcp'] as const;

/** The routes of a VirtualService that forward requests or connections. */
export function virtualServiceRoutes({ metadata, spec }: VirtualService): Route[] {
  const namespace = metadata?.namespace ?? '';
  return sections.flatMap((section) =>
    (spec?.[section] ?? []).map((route, index) => {
      const pointer = `/spec/${section}/${index}`;
      return {
        name: `${section}[${index}]${route.name === undefined ? '' : ` (${route.name})`}`,
        destinations: destinationsOf(route, pointer, namespace),
        mirrors: mirrorsOf(route, pointer, namespace),
      };
    }),
  );
}

/**
 * A single destination gets all requests, whatever its weight; of several, one without a weight gets
 * none (Istio API reference, HTTPRouteDestination).
 */
function destinationsOf(
  { route = [] }: IstioRoute,
  pointer: string,
  namespace: string,
): WeightedDestination[] {
  const sum = route.reduce((total, { weight = 0 }) => total + weight, 0);
  return route.map(({ destination: named, weight = 0 }, index) => {
    const at = `${pointer}/route/${index}`;
    return {
      destination: destinationIn(named, namespace),
      port: named.port?.number,
      weight,
      weightField: `${at}/weight`,
      share: route.length === 1 ? 1 : sum === 0 ? 0 : weight / sum,
      namedAs: (to) => {
        const [service = '', subset = null] = to.split('/');
        const isSame = service === serviceOf(named.host, namespace);
        return {
          // As long as its writer has written it.
          [`${at}/destination/host`]: isSame ? named.host : named.host.replace(/^[^.]+/, service),
          [`${at}/destination/subset`]: subset,
        };
      },
    };
  });
}

/**
 * Without a percentage all requests are copied, and with 0 none (Istio API reference, HTTPRoute
 * `mirrorPercentage` and HTTPMirrorPolicy).
 */
function mirrorsOf(route: IstioRoute, pointer: string, namespace: string): Mirror[] {
  const { mirror, mirrorPercentage, mirrorPercent, mirror_percent, mirrors = [] } = route;
  const single: Mirror[] = mirror
    ? [
        {
          destination: destinationIn(mirror, namespace),
          percent: mirrorPercentage
            ? (mirrorPercentage.value ?? 0)
            : (mirrorPercent ?? mirror_percent ?? 100),
          off: { [`${pointer}/mirrorPercentage/value`]: 0 },
        },
      ]
    : [];
  return [
    ...single,
    ...mirrors.map(({ destination, percentage }, index) => ({
      destination: destinationIn(destination, namespace),
      percent: percentage ? (percentage.value ?? 0) : 100,
      off: { [`${pointer}/mirrors/${index}/percentage/value`]: 0 },
    })),
  ];
}

function destinationIn({ host, subset }: IstioDestination, namespace: string): Destination {
  const service = serviceOf(host, namespace);
  return subset === undefined ? service : `${service}/${subset}`;
}

/**
 * The Service of the namespace that a host means, by its short or its full name; any other host as it
 * is (Istio API reference, Destination `host`).
 */
export function serviceOf(host: string, namespace: string): string {
  const [service = '', place, svc = 'svc'] = host.split('.');
  return place === namespace && svc === 'svc' ? service : host;
}
