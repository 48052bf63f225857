/** Ingresses, and what of them is about one host. */
import type { V1Ingress, V1IngressBackend, V1IngressRule } from '@kubernetes/client-node';
import { hashOf } from '../../../contract/digest.ts';
import type { Change, Mandate } from '../../../contract/plan.ts';
import type { Wire } from '../api.ts';
import { readAnnotation } from '../objects.ts';

export type Ingress = Wire<V1Ingress>;
export type Backend = Wire<V1IngressBackend>;
type Rule = Wire<V1IngressRule>;

/** Where a host's traffic is sent for the time of the maintenance. */
export interface Maintenance {
  service: string;
  /** Number or name of the Service's port. */
  port: number | string;
}

/** What an Ingress says about one host. */
export interface Part {
  /** Rules of the host, in order. */
  rules: Rule[];
  /** Only where the Ingress is about no other host, since it serves all of them. */
  defaultBackend?: Backend;
}

export type BackendsReference = {
  host: string;
  /** SHA-256 of the Ingress's part for the host. */
  backends: string;
  /** The maintenance Service that has the traffic; null where it has not. */
  service: string | null;
  port: number | string | null;
};
export interface BackendsChange extends Change<BackendsReference, BackendsReference> {
  kind: 'ingress/backends';
}
export type BackendsMandate = Mandate<BackendsChange>;

export const redirectedAnnotation = 'rollback-workflows/redirected';

/** What a run has swapped for a host: what was there before, and what was put there. */
export type Redirected = Maintenance & { before: Part; run: string; at: string };

/** By host. */
export function redirectedOf(ingress: Ingress): Record<string, Redirected> {
  return readAnnotation<Record<string, Redirected>>(ingress, redirectedAnnotation) ?? {};
}

export function partOf({ spec }: Ingress, host: string): Part {
  const rules = spec?.rules ?? [];
  const isOnly = rules.every((rule) => rule.host === host);
  return {
    rules: rules.filter((rule) => rule.host === host),
    ...(isOnly && spec?.defaultBackend ? { defaultBackend: spec.defaultBackend } : {}),
  };
}

/** The part with every backend swapped; a rule without paths, which means all, gets one that says so. */
export function swapped(part: Part, maintenance: Maintenance): Part {
  const backend = backendOf(maintenance);
  const everything = [{ path: '/', pathType: 'Prefix', backend }];
  return {
    rules: part.rules.map((rule) => ({
      ...rule,
      http: { paths: rule.http?.paths.map((path) => ({ ...path, backend })) ?? everything },
    })),
    ...(part.defaultBackend ? { defaultBackend: backend } : {}),
  };
}

export function backendOf({ service, port }: Maintenance): Backend {
  return {
    service: { name: service, port: typeof port === 'number' ? { number: port } : { name: port } },
  };
}

/** Names of the Services that the part sends traffic to. */
export function servicesOf({ rules, defaultBackend }: Part): string[] {
  const backends = [
    ...rules.flatMap(({ http }) => http?.paths.map(({ backend }) => backend) ?? []),
    ...(defaultBackend ? [defaultBackend] : []),
  ];
  const names = backends.map(({ service }) => service?.name);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

/** The part by reference, as it is and as it says whose it is. */
export function referenceOf(
  host: string,
  part: Part,
  maintenance?: Maintenance,
): BackendsReference {
  const { service = null, port = null } = maintenance ?? {};
  return { host, backends: hashOf(part), service, port };
}

/**
 * Whether the Ingress decides where the host's traffic goes: by a rule of that host, or, without any
 * rule, by being the one whose certificate is for it.
 */
export function isAbout({ spec }: Ingress, host: string): boolean {
  const rules = spec?.rules ?? [];
  if (rules.length > 0) return rules.some((rule) => rule.host === host);
  const isCertified = spec?.tls?.some(({ hosts }) => hosts?.includes(host)) === true;
  return isCertified && spec.defaultBackend !== undefined;
}
