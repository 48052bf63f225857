/** The HTTPRoute of the Gateway API as routes with weights (gateway.networking.k8s.io). */
import type { Mirror, Route, WeightedDestination } from '../kubernetes/canary/routes.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';

interface BackendReference {
  group?: string;
  kind?: string;
  namespace?: string;
  name: string;
  port?: number;
  weight?: number;
  filters?: Filter[];
}

interface Filter {
  type: string;
  requestMirror?: {
    backendRef: BackendReference;
    percent?: number;
    fraction?: { numerator: number; denominator?: number };
  };
}

interface Rule {
  name?: string;
  backendRefs?: BackendReference[];
  filters?: Filter[];
}

export interface HttpRoute extends KubernetesObject {
  spec?: { rules?: Rule[] };
}

/** The rules of an HTTPRoute, each a route. */
export function httpRouteRoutes({ metadata, spec }: HttpRoute): Route[] {
  const namespace = metadata?.namespace ?? '';
  return (spec?.rules ?? []).map((rule, index) => {
    const pointer = `/spec/rules/${index}`;
    const { name, backendRefs = [], filters = [] } = rule;
    return {
      name: `rules[${index}]${name === undefined ? '' : ` (${name})`}`,
      destinations: destinationsOf(backendRefs, pointer, namespace),
      mirrors: [
        ...mirrorsOf(filters, pointer, namespace),
        ...backendRefs.flatMap((backend, at) =>
          mirrorsOf(backend.filters ?? [], `${pointer}/backendRefs/${at}`, namespace),
        ),
      ],
    };
  });
}

/** A weight is 1 where none is said, and of all zeros nobody gets requests (HTTPBackendRef). */
function destinationsOf(
  backendRefs: readonly BackendReference[],
  pointer: string,
  namespace: string,
): WeightedDestination[] {
  const sum = backendRefs.reduce((total, { weight = 1 }) => total + weight, 0);
  return backendRefs.map((backend, index) => {
    const { port, weight = 1 } = backend;
    const at = `${pointer}/backendRefs/${index}`;
    return {
      destination: destinationIn(backend, namespace),
      port,
      weight,
      weightField: `${at}/weight`,
      share: sum === 0 ? 0 : weight / sum,
      // Subsets are Istio's.
      namedAs: (to) => (to.includes('/') ? undefined : { [`${at}/name`]: to.split('.')[0] ?? to }),
    };
  });
}

/** Without a percentage or a fraction all requests are copied (HTTPRequestMirrorFilter). */
function mirrorsOf(filters: readonly Filter[], pointer: string, namespace: string): Mirror[] {
  return filters.flatMap(({ requestMirror: mirror }, index) => {
    if (!mirror) return [];
    const { backendRef, percent, fraction } = mirror;
    const { numerator = 0, denominator = 100 } = fraction ?? {};
    const at = `${pointer}/filters/${index}/requestMirror`;
    return [
      {
        destination: destinationIn(backendRef, namespace),
        percent: fraction ? (100 * numerator) / denominator : (percent ?? 100),
        // Only one of the two may be there.
        off: { [fraction ? `${at}/fraction/numerator` : `${at}/percent`]: 0 },
      },
    ];
  });
}

/** A Service of the namespace by its name; whatever else a reference means has dots in it. */
function destinationIn({ group = '', kind = 'Service', ...rest }: BackendReference, own: string) {
  const { name, namespace = own } = rest;
  if (group !== '' || kind !== 'Service') return `${name}.${kind}.${group}`;
  return namespace === own ? name : `${name}.${namespace}`;
}
