/** The plan of an Ingress that is made for a host that no other one is about. */
import { refused } from '../../failures.ts';
import type { Cluster } from '../api.ts';
import { targetOf } from '../objects.ts';
import { type ExtraChange, extraName } from './extra-ingress.ts';
import type { Ingress, Maintenance } from './ingress.ts';

/** Whose traffic is redirected, and where. */
export interface Wish {
  cluster: Cluster;
  namespace: string;
  host: string;
}

/**
 * Makes an Ingress of its own for the host.
 * @throws Refused where the name of the extra Ingress is somebody else's.
 */
export function extraOf(
  { cluster, namespace, host }: Wish,
  ingresses: Ingress[],
  maintenance: Maintenance,
  ingressClass = null as string | null,
): ExtraChange[] {
  const name = extraName(host);
  const taken = ingresses.some(
    ({ metadata }) => metadata?.name === name && metadata.namespace === namespace,
  );
  if (taken) {
    throw refused(
      `There is an Ingress ${name} in ${namespace} that is not about ${host}: rename it, or redirect by hand.`,
    );
  }
  const about = { host, ...maintenance, ingressClass };
  return [
    {
      ...{ id: 'extra', kind: 'ingress/extra' },
      target: targetOf('ingress', cluster, { metadata: { name, namespace } }),
      before: { exists: false, ...about },
      after: { exists: true, ...about },
    },
  ];
}

/** Removes it again. */
export function removalOf({ cluster, host }: Wish, ingress: Ingress): ExtraChange {
  const { service } = ingress.spec?.rules?.[0]?.http?.paths[0]?.backend ?? {};
  const about = {
    ...{ host, service: service?.name ?? '' },
    port: service?.port?.number ?? service?.port?.name ?? '',
    ingressClass: ingress.spec?.ingressClassName ?? null,
  };
  return {
    ...{ id: 'extra', kind: 'ingress/extra' },
    target: targetOf('ingress', cluster, ingress),
    before: { exists: true, ...about },
    after: { exists: false, ...about },
  };
}

/** What people should know of a new Ingress. */
export function extraWarnings(
  ingresses: Ingress[],
  host: string,
  ingressClass: string | undefined,
): string[] {
  const warnings = [
    'The new Ingress has no TLS block: the controller answers https as it does for hosts that it does not know.',
  ];
  const parent = `*.${host.split('.').slice(1).join('.')}`;
  const wider = ingresses.filter(({ spec }) =>
    spec?.rules?.some((rule) => rule.host === parent || rule.host === undefined),
  );
  for (const { metadata } of wider) {
    warnings.push(
      `Ingress ${metadata?.name} in ${metadata?.namespace} has had the traffic of ${host} by a wider rule; the rule of the new one is more precise and wins.`,
    );
  }
  if (ingressClass === undefined) {
    warnings.push(
      'The new Ingress is of the default class: name another as maintenance.ingressClass in the settings.',
    );
  }
  return warnings;
}
