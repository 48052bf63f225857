import type { Service, Settings } from './schema.ts';

/** The service that a Deployment belongs to, with its name; an empty name where it has none. */
export function findService(
  { services, kubernetes }: Settings,
  namespace: string,
  deployment: string,
): [string, Service | undefined] {
  const found = Object.entries(services).find(
    ([, service]) =>
      service.deployment === deployment &&
      (service.namespace ?? kubernetes.namespace) === namespace,
  );
  return found ?? ['', undefined];
}
