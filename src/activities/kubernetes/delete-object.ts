import type { Effect, Mandate } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import { type Cluster, type Clusters, KubernetesError } from './api.ts';
import { inWords, type KubernetesObject, objectPath } from './objects.ts';

/** By what an object is told from what it may have become since the plan was made. */
export interface Removable<T extends KubernetesObject> {
  /** Whether it is what the plan says that it is. */
  isAsPlanned: (object: T) => boolean;
  /** @throws PlanStale where something still needs the object. */
  assertUnused: (cluster: Cluster, object: T) => Promise<void>;
}

/** An object that changes all the time is somebody else's work in progress. */
const attempts = 10;

/**
 * Deletes the planned object, as it was read and no other. One that is gone already is deleted. There
 * is no way back: asked to undo, it says whether the object still stands.
 * @throws PlanStale where the object is not what the plan says, or is needed.
 */
export async function deleteObject<T extends KubernetesObject>(
  clusters: Clusters,
  { change, undo }: Mandate,
  { isAsPlanned, assertUnused }: Removable<T>,
): Promise<Effect> {
  const { target } = change;
  const cluster = clusters.of(target.context);
  const path = objectPath(target.kind, target.namespace, target.name);
  const what = inWords(target);
  for (let attempt = 1; ; attempt++) {
    const object = await cluster.find<T>(path);
    const { uid, resourceVersion, deletionTimestamp } = object?.metadata ?? {};
    const isThere = uid === target.uid && deletionTimestamp === undefined;
    if (undo) {
      if (isThere) return { changed: false, text: `${what} still stands.` };
      throw stale(`${what} was deleted, and only its manifest brings it back.`);
    }
    if (!object || !isThere) return { changed: false, text: `${what} is gone.` };
    if (!isAsPlanned(object)) {
      throw stale(
        `${what} was changed after the plan was made, and stays: find out by whom, and start again if it is to go.`,
      );
    }
    await assertUnused(cluster, object);
    try {
      await cluster.delete(path, { uid, resourceVersion });
      return { changed: true, text: `${what} is deleted.` };
    } catch (error) {
      const { status } = error instanceof KubernetesError ? error : { status: undefined };
      if (status === 404) continue;
      // It was changed since it was read: read again and look.
      if (status !== 409 || attempt === attempts) throw error;
    }
  }
}
