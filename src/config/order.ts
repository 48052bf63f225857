import type { z } from 'zod';

/** Names of services with what goes before each; a part of the settings. */
export type Order = Record<string, { after: string[] }>;

/** Tells of `after` that names no service, or that goes round in a circle. */
export function assertOrder({ value: services, issues }: z.core.ParsePayload<Order>): void {
  const tell = (name: string, message: string) =>
    issues.push({ code: 'custom', message, input: services, path: [name, 'after'] });
  for (const [name, { after }] of Object.entries(services)) {
    const unknown = after.find((other) => !Object.hasOwn(services, other));
    if (unknown !== undefined) tell(name, `names ${unknown}, which is no service here`);
    else if (turnOf(services, name) === undefined) tell(name, 'comes back to itself: break it');
  }
}

/**
 * The turn of a service among those that go back together, from 0: after all that it comes after.
 * What stands between two of them counts though it does not go back itself. Undefined in a circle.
 */
export function turnOf(services: Order, name: string, above: string[] = []): number | undefined {
  if (above.includes(name)) return undefined;
  const before = (services[name]?.after ?? []).map((other) =>
    turnOf(services, other, [...above, name]),
  );
  if (before.includes(undefined)) return undefined;
  return Math.max(-1, ...before.map((turn) => turn ?? 0)) + 1;
}
