import { isRace } from './race.ts';
import type { Change, Effect, Mandate, Reference, Target } from '../../contract/plan.ts';
import { hashOf } from '../../contract/digest.ts';
import { stale } from '../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from './api.ts';
import {
  annotationPointer,
  changesBy,
  inWords,
  type KubernetesObject,
  markAfter,
  objectPath,
  readTarget,
} from './objects.ts';
import { returnFields } from './managed-fields.ts';

/** What a change is about, of one object: how its state is read, and how it is made another. */
export interface Aspect<T extends KubernetesObject, State extends Reference> {
  /** The state as the plan's before and after have it. */
  stateOf: (object: T) => State;
  /** What makes it so; whatever it does not name stays as it is. */
  operations: (object: T, to: State) => JsonPatchOperation[];
  /** A state in words, such as `selects version=blue`. */
  inWords: (state: State) => string;
  /** Whether no manifest has these fields, so that owning them is in nobody's way. */
  isOwn?: boolean;
  /** Whether another run has left the object as it is to be, and this one is to answer for it from now on. */
  isTakenOver?: (object: T) => boolean;
}

/** An object that changes all the time is somebody else's work in progress. */
const attempts = 10;

/**
 * Makes one aspect of an object what the mandate's change wants, or takes that back: reads, changes
 * only on difference, and only the object that was read. The run notes on the object what it did, so
 * that it does so once, and takes back only what it did itself.
 * @param found the object, where the caller has just read it
 * @throws PlanStale where the object is neither as before nor as after the change, and where somebody
 *   else has taken this run's change back.
 */
export async function changeObject<T extends KubernetesObject, State extends Reference>(
  clusters: Clusters,
  mandate: Mandate<Change<State, State>>,
  aspect: Aspect<T, State>,
  found?: T,
): Promise<Effect> {
  const { change, undo, run } = mandate;
  const { target, before, after } = change;
  const [from, to] = undo ? [after, before] : [before, after];
  const cluster = clusters.of(target.context);
  const what = inWords(target);
  for (let attempt = 1; ; attempt++) {
    const object = (attempt === 1 && found) || (await readTarget<T>(cluster, target));
    const state = aspect.stateOf(object);
    const isOurs = changesBy(object, run).includes(change.id);
    const isDone = isSame(state, to);
    if (!isDone && !isSame(state, from)) {
      throw stale(
        `${what} was changed after the plan was made: it ${aspect.inWords(state)}. Look at it, and start again if it still needs a rollback.`,
      );
    }
    if (!isDone && isOurs !== undo) {
      throw stale(
        undo
          ? `${what} was not changed by this run, or was changed again since: there is nothing of its own to take back.`
          : `This run has changed ${what} before, and somebody has taken that back since: find out who, and start a new run if it needs another rollback.`,
      );
    }
    try {
      if (isDone && (isOurs || !aspect.isTakenOver?.(object))) {
        // An earlier attempt of this very run may have done it and not lived to say so.
        if (isOurs) await handBack(cluster, target, aspect, object);
        return { changed: isOurs, text: `${what} ${aspect.inWords(to)}.` };
      }
      const patched = await cluster.patch<T>(pathOf(target), [
        { op: 'test', path: '/metadata/uid', value: target.uid },
        { op: 'test', path: '/metadata/resourceVersion', value: object.metadata?.resourceVersion },
        ...markOperations(object, mandate),
        ...aspect.operations(object, to),
      ]);
      await handBack(cluster, target, aspect, patched);
      return { changed: true, text: `${what} now ${aspect.inWords(to)}.` };
    } catch (error) {
      // A `test` failed, so the object changed since it was read: read again and look.
      if (!isRace(error) || attempt === attempts) throw error;
    }
  }
}

/**
 * Leaves the changed fields to whoever applies the object from its manifests, whose next server-side
 * apply would conflict. Whoever owns nothing by such an apply needs nothing.
 */
async function handBack<T extends KubernetesObject, State extends Reference>(
  cluster: Cluster,
  target: Target,
  { isOwn = false }: Aspect<T, State>,
  object: T,
): Promise<void> {
  const entries = object.metadata?.managedFields ?? [];
  const isApplied = entries.some(({ operation }) => operation === 'Apply');
  if (isApplied && !isOwn) await returnFields(cluster, pathOf(target), object);
}

function pathOf({ kind, namespace, name }: Target): string {
  return objectPath(kind, namespace, name);
}

/** Notes on the object that this run makes the mandate's change, or takes it back. */
export function markOperations(
  object: KubernetesObject,
  { run, change, undo }: Pick<Mandate, 'run' | 'change' | 'undo'>,
): JsonPatchOperation[] {
  const { key, value } = markAfter(object, run, change.id, undo);
  if (!object.metadata?.annotations) {
    return [{ op: 'add', path: '/metadata/annotations', value: { [key]: value } }];
  }
  return [{ op: 'add', path: annotationPointer(key), value }];
}

function isSame(one: Reference, other: Reference): boolean {
  return hashOf(one) === hashOf(other);
}
