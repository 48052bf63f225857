/** A service with a canary as teams have it in git, on Istio and on the Gateway API. */

import { colourManifest, serviceManifest } from './manifests.ts';

type Json = Record<string, unknown>;

export interface CanaryWanted {
  /** Images of both sides. */
  images?: { stable?: string; canary?: string };
  replicas?: { stable?: number; canary?: number };
}

/** Where requests are sent in a VirtualService: the service's subset. */
export const to = (host: string, subset: string, more: Json = {}): Json => ({
  ...{ destination: { host, subset } },
  ...more,
});

/** Both versions of a service: Deployments NAME-stable and NAME-canary behind one Service. */
export function bothVersions(
  name: string,
  { images = {}, replicas = {} }: CanaryWanted = {},
): object[] {
  const { stable = 'wakala/api:1.0.0', canary = 'wakala/api:2.0.0-bad' } = images;
  return [
    serviceManifest(name, { app: name }),
    colourManifest(name, 'stable', stable, { replicas: replicas.stable ?? 2 }),
    colourManifest(name, 'canary', canary, { replicas: replicas.canary ?? 1 }),
  ];
}

/** Makes subsets of a service, each of the version of its name. */
export function destinationRule(
  name: string,
  host: string,
  subsets: string[],
  more: Json = {},
): object {
  return {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name } },
    spec: {
      host,
      subsets: subsets.map((version) => ({ name: version, labels: { version } })),
      ...more,
    },
  };
}

export function virtualService(name: string, spec: Json): object {
  return {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name } },
    spec: { hosts: [name], ...spec },
  };
}

/** The runbook's canary: 10 % of the requests, and a DestinationRule of its own. */
export function istioCanary(name: string, wanted: CanaryWanted = {}): object[] {
  return [
    ...bothVersions(name, wanted),
    destinationRule(name, name, ['stable']),
    destinationRule(`${name}-canary`, name, ['canary']),
    virtualService(name, {
      http: [{ route: [to(name, 'stable', { weight: 90 }), to(name, 'canary', { weight: 10 })] }],
    }),
  ];
}

/** A Rollout that sets the weights of the service's VirtualService. */
export function weightedRollout(name: string): object {
  return {
    ...{ apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', metadata: { name } },
    spec: {
      selector: { matchLabels: { app: name } },
      workloadRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      strategy: { canary: { trafficRouting: { istio: { virtualService: { name } } } } },
    },
  };
}

/** A canary on the Gateway API: Services NAME-stable and NAME-canary behind one HTTPRoute. */
export function gatewayCanary(name: string, wanted: CanaryWanted = {}): object[] {
  return [
    ...bothVersions(name, wanted),
    serviceManifest(`${name}-stable`, { app: name, version: 'stable' }),
    serviceManifest(`${name}-canary`, { app: name, version: 'canary' }),
    httpRoute(name, [
      {
        backendRefs: [
          { name: `${name}-stable`, port: 80, weight: 90 },
          { name: `${name}-canary`, port: 80, weight: 10 },
        ],
      },
    ]),
  ];
}

export function httpRoute(name: string, rules: Json[]): object {
  return {
    ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata: { name } },
    spec: { parentRefs: [{ name: 'edge' }], rules },
  };
}
