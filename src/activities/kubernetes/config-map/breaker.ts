/** A circuit breaker that values of a ConfigMap switch. */
import type { V1ConfigMap } from '@kubernetes/client-node';
import { hashOf } from '../../../contract/digest.ts';
import type { Change, Mandate } from '../../../contract/plan.ts';
import type { Wire } from '../api.ts';
import { readAnnotation } from '../objects.ts';

export type ConfigMap = Wire<V1ConfigMap>;
/** Values by their keys; null for a key that is not there. */
export type Values = Readonly<Record<string, string | null>>;

/** States are values by their keys, as `shortened` has them. */
export interface BreakerChange extends Change<Values, Values> {
  kind: 'configmap/open-breaker' | 'configmap/close-breaker';
}
export type BreakerMandate = Mandate<BreakerChange>;
export type BreakerState = 'open' | 'closed';

export const breakerAnnotation = 'rollback-workflows/circuit-breaker';

/** Value of the annotation: what opening has changed, so that closing puts it back exactly. */
export interface Breaker {
  state: BreakerState;
  open: Values;
  closed: Values;
  /** What it was opened with before, where it was opened once more by other values. */
  earlier?: Values;
  run: string;
  /** ISO 8601; when it came into this state. */
  at: string;
}

/** What runs have noted on the ConfigMap; undefined where none has switched it. */
export function breakerOf(configMap: ConfigMap): Breaker | undefined {
  return readAnnotation<Breaker>(configMap, breakerAnnotation);
}

/** Values of these keys as they stand. */
export function valuesOf({ data = {} }: ConfigMap, keys: readonly string[]): Values {
  return Object.fromEntries(keys.map((key) => [key, data[key] ?? null]));
}

/** Longer values are no reference. */
const longest = 100;

/** Values as a plan has them: a long one by its digest. */
export function shortened(values: Values): Values {
  const short = (value: string | null) =>
    value !== null && value.length > longest ? `sha256:${hashOf(value)}` : value;
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, short(value)]));
}

export function isSameValues(one: Values, other: Values): boolean {
  return hashOf(shortened(one)) === hashOf(shortened(other));
}

/** The state that a mandate brings the breaker into. */
export function stateAfter({ change, undo }: BreakerMandate): BreakerState {
  return (change.kind === 'configmap/open-breaker') !== undo ? 'open' : 'closed';
}
