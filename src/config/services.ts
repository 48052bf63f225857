import type { Target, TargetKind } from '../contract/plan.ts';
import type { Service, Settings } from './schema.ts';

/** Where a service's settings name what it consists of. */
const fieldOf: Partial<Record<TargetKind, 'deployment' | 'statefulSet' | 'service' | 'release'>> = {
  deployment: 'deployment',
  statefulset: 'statefulSet',
  service: 'service',
  'helm-release': 'release',
};

/** The service that a target belongs to, with its name; an empty name where it has none. */
export function findService(
  settings: Settings,
  { kind, namespace, name, region }: Pick<Target, 'kind' | 'namespace' | 'name' | 'region'>,
): [string, Service | undefined] {
  const { services, kubernetes } = settingsIn(settings, region);
  const field = fieldOf[kind];
  const found = Object.entries(services).find(
    ([, service]) =>
      field !== undefined &&
      service[field] === name &&
      (service.namespace ?? kubernetes.namespace) === namespace,
  );
  return found ?? ['', undefined];
}

/**
 * A target and all else that the service consists of which it belongs to: who rolls back its
 * Deployment in one place and its Helm release in another changes one service in two.
 */
export function ofSameService(settings: Settings, target: Target): Target[] {
  const [, service] = findService(settings, target);
  if (!service) return [target];
  const namespace = service.namespace ?? settings.kubernetes.namespace;
  const others = (Object.keys(fieldOf) as (keyof typeof fieldOf)[]).flatMap((kind) => {
    const name = service[fieldOf[kind] ?? 'service'];
    return name === undefined || kind === target.kind ? [] : [{ ...target, kind, namespace, name }];
  });
  return [target, ...others];
}

/** The settings as they are in a region: each service with what differs there. */
export function settingsIn(settings: Settings, region: string | undefined): Settings {
  if (region === undefined) return settings;
  const services = Object.entries(settings.services).map(([name, service]) => {
    const { checks = {}, ...there } = service.regions[region] ?? {};
    const own = { ...service, ...there, checks: { ...service.checks, ...checks } };
    return [name, own] as const;
  });
  return { ...settings, services: Object.fromEntries(services) };
}
