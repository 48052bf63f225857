import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Cluster } from '../api.ts';
import { readEndpoints } from '../service/endpoints.ts';
import { readService } from '../service/service.ts';
import type { Maintenance } from './ingress.ts';

/** Why traffic must not be sent to the maintenance Service; undefined where it may. */
export async function whyNotServed(
  cluster: Cluster,
  namespace: string,
  { service: name, port }: Maintenance,
): Promise<string | undefined> {
  const service = await readService(cluster, namespace, name);
  const what = `Service ${name} in ${namespace}`;
  if (!service) {
    return `There is no Service ${name} in namespace ${namespace} to redirect to, and an Ingress sends traffic to Services of its own namespace only: make one there, or name another with --service.`;
  }
  const ports = service.spec?.ports ?? [];
  if (!ports.some((one) => one.port === port || one.name === port)) {
    const known = ports.map((one) => (one.name ? `${one.port} (${one.name})` : one.port));
    return `${what} has no port ${port}: it has ${known.join(', ') || 'none'}. Name one of them with --port.`;
  }
  const { ready } = await readEndpoints(cluster, namespace, name);
  if (ready.length > 0) return undefined;
  return `${what} has no ready endpoint, so everybody who is redirected there would see an error: bring its pods up first.`;
}

/** @throws RolloutBlocked where the maintenance Service could not answer. */
export async function assertServed(
  cluster: Cluster,
  namespace: string,
  maintenance: Maintenance,
): Promise<void> {
  const why = await whyNotServed(cluster, namespace, maintenance);
  if (why === undefined) return;
  throw ApplicationFailure.nonRetryable(
    `The traffic stays where it is. ${why}`,
    failureTypes.rolloutBlocked,
  );
}

/** Those of the Services that have a ready endpoint. */
export async function servingOf(
  cluster: Cluster,
  namespace: string,
  services: readonly string[],
): Promise<string[]> {
  const endpoints = await Promise.all(
    services.map((service) => readEndpoints(cluster, namespace, service)),
  );
  return services.filter((_, index) => (endpoints[index]?.ready.length ?? 0) > 0);
}
