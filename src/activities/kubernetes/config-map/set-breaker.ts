import type { LoadedSettings } from '../../../config/settings.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Clusters, JsonPatchOperation } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import { assertMayUndo } from '../may-undo.ts';
import { annotationPointer, inWords, pointerToken } from '../objects.ts';
import {
  type Breaker,
  breakerAnnotation,
  type BreakerMandate,
  breakerOf,
  type ConfigMap,
  isSameValues,
  shortened,
  stateAfter,
  type Values,
  valuesOf,
} from './breaker.ts';
import { compareBreaker } from './compare-breaker.ts';

/**
 * Opens a circuit breaker, closes it, or takes either back, by exactly the keys of the plan. The values
 * come from the settings where it is opened, else from what was noted on the ConfigMap when it was;
 * never from the plan.
 * @throws PlanStale as changeObject does, and where settings or note do not have the planned values.
 */
export async function setBreaker(
  clusters: Clusters,
  { settings }: LoadedSettings,
  mandate: BreakerMandate,
): Promise<Effect> {
  const { change, undo } = mandate;
  await assertMayUndo(mandate, () => compareBreaker(clusters, mandate));
  const keys = Object.keys(change.after);
  const state = stateAfter(mandate);
  const aspect: Aspect<ConfigMap, Values> = {
    stateOf: (configMap) => shortened(valuesOf(configMap, keys)),
    operations(configMap, to) {
      const noted = breakerOf(configMap);
      const opens = state === 'open' && !undo;
      // One that was open before, by other values, is open again.
      const reopened = undo && state === 'closed' ? noted?.earlier : undefined;
      const values = reopened ?? (opens ? settings.circuitBreaker.open : noted?.[state]);
      const next = reopened ? 'open' : state;
      if (!values || !isSameValues(values, to)) {
        throw stale(
          `${inWords(change.target)}: what the plan wants is not what ${undo || state === 'closed' ? 'was noted on it' : 'the settings say'}. Nothing was changed; start again.`,
        );
      }
      const now = valuesOf(configMap, keys);
      const breaker: Breaker = {
        state: next,
        open: next === 'open' ? values : now,
        // Opened once more by other values, it still goes back to what was there at first.
        closed: next === 'closed' ? values : noted?.state === 'open' ? noted.closed : now,
        ...(noted?.state === 'open' && opens ? { earlier: noted.open } : {}),
        run: mandate.run.workflowId,
        at: new Date().toISOString(),
      };
      const isUndone = next === 'closed' && undo;
      return [
        ...valueOperations(configMap, values),
        isUndone
          ? { op: 'remove', path: annotationPointer(breakerAnnotation) }
          : {
              ...{ op: 'add', path: annotationPointer(breakerAnnotation) },
              value: JSON.stringify(breaker),
            },
      ];
    },
    inWords: (values) =>
      `has ${Object.entries(values)
        .map(([key, value]) => (value === null ? `no ${key}` : `${key}=${value}`))
        .join(', ')}`,
  };
  return changeObject(clusters, mandate, aspect);
}

/** One operation a key, so that all others stay. */
function valueOperations({ data }: ConfigMap, values: Values): JsonPatchOperation[] {
  const path = (key: string) => `/data/${pointerToken(key)}`;
  const changes = Object.entries(values).flatMap(([key, value]): JsonPatchOperation[] => {
    if (value !== null) return [{ op: 'add', path: path(key), value }];
    return data?.[key] === undefined ? [] : [{ op: 'remove', path: path(key) }];
  });
  return data ? changes : [{ op: 'add', path: '/data', value: {} }, ...changes];
}
