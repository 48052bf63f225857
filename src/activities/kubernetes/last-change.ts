/** What runs have noted on objects: the one trace that nobody can make who may only write to Temporal. */
import type { RunIdentity, Target } from '../../contract/plan.ts';
import { isOf, notesOf } from '../helm/notes.ts';
import { readRecords } from '../helm/releases.ts';
import type { Cluster } from './api.ts';
import { restoredRollback, standsRestoredBy } from './deployment/annotations.ts';
import { type KubernetesObject, markOf, objectPath, standingChangesBy } from './objects.ts';

/** Whether the run has changed the target, and not taken that back. */
export async function hasChanged(
  cluster: Cluster,
  { kind, namespace, name }: Target,
  run: RunIdentity,
): Promise<boolean> {
  if (kind === 'helm-release') {
    const notes = notesOf(await readRecords(cluster, namespace, name));
    return notes.some((note) => isOf(note, run));
  }
  const object = await cluster.find<KubernetesObject>(objectPath(kind, namespace, name));
  return (
    object !== undefined &&
    (standingChangesBy(object, run).length > 0 || standsRestoredBy(object, run))
  );
}

/** When a run last changed the object of this name, whichever its UID; ISO 8601. */
export async function lastChangeAt(
  cluster: Cluster,
  { kind, namespace, name }: Target,
): Promise<string | undefined> {
  if (kind === 'helm-release') {
    const [latest] = notesOf(await readRecords(cluster, namespace, name));
    return latest?.at;
  }
  const object = await cluster.find<KubernetesObject>(objectPath(kind, namespace, name));
  if (!object) return undefined;
  const times = [markOf(object)?.at, restoredRollback(object)?.at].filter(
    (time) => time !== undefined,
  );
  return times.sort().at(-1);
}
