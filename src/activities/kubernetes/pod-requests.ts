import type { V1LimitRange } from '@kubernetes/client-node';
import type { Wire } from './api.ts';
import { parseQuantity } from './quantity.ts';
import type { PodTemplate } from './templates.ts';

type PodSpec = NonNullable<PodTemplate['spec']>;
type Container = PodSpec['containers'][number];

/** Amounts by resource name (`cpu` in cores, `memory` in bytes). */
export type Resources = Map<string, number>;

/**
 * What the scheduler and quotas count for one pod: containers and sidecars together, or the
 * largest init container where that is more, plus the runtime's overhead.
 * `defaults` are the requests that the namespace's LimitRange gives to containers without.
 */
export function podRequests(
  spec: PodSpec | undefined,
  kind: 'requests' | 'limits' = 'requests',
  defaults: Resources = new Map(),
): Resources {
  const of = (container: Container): Resources => {
    const own = container.resources?.[kind];
    // A container with a limit and no request gets the limit as its request.
    const fallback = kind === 'requests' ? container.resources?.limits : undefined;
    const stated = Object.entries({ ...fallback, ...own });
    return new Map([
      ...defaults,
      ...stated.map(([name, value]) => [name, parseQuantity(value)] as const),
    ]);
  };
  const inits = spec?.initContainers ?? [];
  const running = [
    ...(spec?.containers ?? []),
    ...inits.filter(({ restartPolicy }) => restartPolicy === 'Always'),
  ];
  const total: Resources = new Map();
  for (const container of running) add(total, of(container));
  for (const init of inits) {
    for (const [name, value] of of(init)) total.set(name, Math.max(total.get(name) ?? 0, value));
  }
  for (const [name, value] of Object.entries(spec?.overhead ?? {})) {
    add(total, new Map([[name, parseQuantity(value)]]));
  }
  return total;
}

/** Adds `more` to `total`. */
export function add(total: Resources, more: Resources): void {
  for (const [name, value] of more) total.set(name, (total.get(name) ?? 0) + value);
}

/** Requests or limits that LimitRanges give to containers that state none. */
export function limitRangeDefaults(
  ranges: Wire<V1LimitRange>[],
  kind: 'requests' | 'limits',
): Resources {
  const defaults: Resources = new Map();
  for (const limit of ranges.flatMap(({ spec }) => spec?.limits ?? [])) {
    if (limit.type !== 'Container') continue;
    // On the wire the field is `default`, which the client's models rename.
    const limits = (limit as { default?: Record<string, string> }).default;
    const stated = kind === 'requests' ? (limit.defaultRequest ?? limits) : limits;
    for (const [name, value] of Object.entries(stated ?? {})) {
      defaults.set(name, parseQuantity(value));
    }
  }
  return defaults;
}
