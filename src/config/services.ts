import type { Target, TargetKind } from '../contract/plan.ts';
import type { Service, Settings } from './schema.ts';

/** Where a service's settings name what it consists of. */
const fieldOf: Partial<Record<TargetKind, 'deployment' | 'statefulSet' | 'service' | 'release'>> = {
  deployment: 'deployment',
  'helm-release': 'release',
};

/** The service that a target belongs to, with its name; an empty name where it has none. */
export function findService(
  { services, kubernetes }: Settings,
  { kind, namespace, name }: Pick<Target, 'kind' | 'namespace' | 'name'>,
): [string, Service | undefined] {
  const field = fieldOf[kind];
  const found = Object.entries(services).find(
    ([, service]) =>
      field !== undefined &&
      service[field] === name &&
      (service.namespace ?? kubernetes.namespace) === namespace,
  );
  return found ?? ['', undefined];
}
