/**
 * Routes that share requests out among destinations by weight: what VirtualServices of Istio and
 * HTTPRoutes of the Gateway API have alike.
 */
import type { Fields } from '../fields.ts';

/**
 * Where requests go: a Service of the routes' own namespace, or a subset of it, such as `wakala` or
 * `wakala/canary`; a host elsewhere has dots in its name.
 */
export type Destination = string;

export interface WeightedDestination {
  destination: Destination;
  port: number | undefined;
  /** As compared with the other destinations of the route. */
  weight: number;
  /** JSON pointer of the weight. */
  weightField: string;
  /** Which part of the route's requests it gets, 0 to 1. */
  share: number;
  /** The fields that name it, as they are for this or another destination; undefined where none can. */
  namedAs: (destination: Destination) => Fields | undefined;
}

/** A destination that gets copies of a route's requests, whose answers nobody sees. */
export interface Mirror {
  destination: Destination;
  /** How many of the route's requests are copied, 0 to 100. */
  percent: number;
  /** The field that makes it none. */
  off: Fields;
}

export interface Route {
  /** As people find it, such as `http[0]`. */
  name: string;
  destinations: WeightedDestination[];
  mirrors: Mirror[];
}

/** What the API server takes at most (HTTPRoute, `backendRefs.weight`). */
const largestWeight = 1_000_000;

/** Fields with which one route sends nothing to the canary any more, and what that means in words. */
export interface Turned {
  /** Those that change, and those that name who is concerned, so that a route is not taken for another. */
  after: Fields;
  /** Who gets the requests. */
  stable: Destination[];
  lines: string[];
}

/** Why a route cannot be turned by itself, in words that follow its name. */
export class UnclearRoute extends Error {}

/** Who may get the requests of a canary. */
export interface Takers {
  /** The likeliest first. */
  stable: readonly Destination[];
  /** Whether somebody has named them, so that no other is thought of. */
  areNamed: boolean;
  /** Whether a destination listens on a port; undefined for a route that names none. */
  listens: (destination: Destination, port: number | undefined) => boolean;
}

/**
 * Turns a route away from its canary: the weight of the canary is added to the stable destination of
 * the same route; where the route has none, the canary is replaced by a stable destination as it
 * stands; copies of requests end.
 * @throws UnclearRoute where several could get the requests, or nobody.
 */
export function turnFrom(
  { destinations, mirrors }: Route,
  canary: readonly Destination[],
  takers: Takers,
): Turned {
  const turned: Turned = { after: {}, stable: [], lines: [] };
  const isCanary = ({ destination }: { destination: Destination }) => canary.includes(destination);
  const losing = destinations.filter((one) => isCanary(one) && one.share > 0);
  const others = destinations.filter((one) => !isCanary(one));
  if (losing.length > 0) {
    const taker = takerOf(others, takers);
    if (taker) addWeights(turned, losing, taker);
    else replaceEach(turned, losing, takers);
  }
  for (const { destination, percent, off } of mirrors.filter(isCanary)) {
    if (percent === 0) continue;
    turned.after = { ...turned.after, ...off };
    turned.lines.push(`copies of ${percent} % to ${destination} -> 0 %`);
  }
  return turned;
}

/** The destination of the same route that gets the weight; undefined where there is none. */
function takerOf(
  others: readonly WeightedDestination[],
  { stable, areNamed }: Takers,
): WeightedDestination | undefined {
  for (const wanted of stable) {
    const found = others.find(({ destination }) => destination === wanted);
    if (found) return found;
  }
  if (areNamed || others.length === 0) return undefined;
  if (others.length === 1) return others[0];
  const names = others.map(({ destination }) => destination).join(', ');
  throw new UnclearRoute(`has several destinations beside the canary (${names})`);
}

function addWeights(
  turned: Turned,
  losing: readonly WeightedDestination[],
  taker: WeightedDestination,
): void {
  const sum = [taker, ...losing].reduce((total, { weight }) => total + weight, 0);
  const weights = new Map([
    ...losing.map((one) => [one, 0] as const),
    [taker, Math.min(sum, largestWeight)],
  ]);
  for (const [one, weight] of weights) {
    const naming = one.namedAs(one.destination);
    turned.after = { ...turned.after, ...naming, [one.weightField]: weight };
    turned.lines.push(`${one.destination} ${one.weight} -> ${weight}`);
  }
  turned.stable.push(taker.destination);
}

function replaceEach(
  turned: Turned,
  losing: readonly WeightedDestination[],
  { stable, listens }: Takers,
): void {
  for (const { destination, port, namedAs } of losing) {
    const instead = stable.find((one) => namedAs(one) && listens(one, port));
    if (instead === undefined) {
      const on = port === undefined ? '' : ` on port ${port}`;
      throw new UnclearRoute(
        `sends requests to ${destination} alone, and nobody else takes them${on}`,
      );
    }
    turned.after = { ...turned.after, ...namedAs(instead) };
    turned.lines.push(`${destination} -> ${instead}`);
    turned.stable.push(instead);
  }
}

/** Something that a route sends to a canary. */
export interface CanaryTraffic {
  /** Fields that make it so. */
  fields: Fields;
  text: string;
}

/** What a route sends to the canary; empty where that is nothing. */
export function trafficTo(
  { name, destinations, mirrors }: Route,
  canary: readonly Destination[],
): CanaryTraffic[] {
  const routed = destinations
    .filter(({ destination, share }) => canary.includes(destination) && share > 0)
    .map(({ destination, share, weight, weightField, namedAs }) => ({
      fields: { ...namedAs(destination), [weightField]: weight },
      text: `${name} sends ${percentage(share)} of its requests to ${destination}`,
    }));
  const copied = mirrors
    .filter(({ destination, percent }) => canary.includes(destination) && percent > 0)
    .map(({ destination, percent, off }) => ({
      fields: Object.fromEntries(Object.keys(off).map((pointer) => [pointer, percent])),
      text: `${name} sends copies of ${percent} % of its requests to ${destination}`,
    }));
  return [...routed, ...copied];
}

function percentage(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
