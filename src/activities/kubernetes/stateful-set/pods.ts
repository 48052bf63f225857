/** The pods of a StatefulSet: each has a place of its own, and a revision. */
import type { Cluster, ListOf } from '../api.ts';
import { selectorOf } from '../deployment/revisions.ts';
import { isOwnedBy } from '../objects.ts';
import { type Pod, podsPath, readySince } from '../pods.ts';
import type { StatefulSet } from './revisions.ts';

/** Label of a pod that names the ControllerRevision which it was made from. */
export const revisionLabel = 'controller-revision-hash';

/** Pods that the StatefulSet made, in the order of their ordinals. */
export async function readOwnPods(cluster: Cluster, statefulSet: StatefulSet): Promise<Pod[]> {
  const path = podsPath(statefulSet.metadata?.namespace ?? '');
  const query = { labelSelector: selectorOf(statefulSet) };
  const { items } = await cluster.get<ListOf<Pod>>(path, query);
  return ownPods(statefulSet, items);
}

/** Of pods that its selector matches those that the StatefulSet made, in the order of their ordinals. */
export function ownPods({ metadata }: StatefulSet, pods: Iterable<Pod>): Pod[] {
  return [...pods]
    .filter((pod) => isOwnedBy(pod, metadata?.uid))
    .sort((one, other) => ordinalOf(one) - ordinalOf(other));
}

/** The number at the end of its name. */
export function ordinalOf({ metadata }: Pod): number {
  return Number(/-(\d+)$/.exec(metadata?.name ?? '')?.[1] ?? -1);
}

export function revisionOf({ metadata }: Pod): string {
  return metadata?.labels?.[revisionLabel] ?? '';
}

export function isReady(pod: Pod): boolean {
  return readySince(pod) !== undefined && !isTerminating(pod);
}

export function isTerminating({ metadata }: Pod): boolean {
  return metadata?.deletionTimestamp !== undefined;
}

/** How a StatefulSet replaces its pods. */
export interface Replacement {
  /** `run`: the controller replaces none (OnDelete), so the run does. */
  by: 'controller' | 'run';
  /** Pods below this ordinal keep the version that they have. */
  fromOrdinal: number;
  /** Ordinal of the first pod, and how many there are to be. */
  start: number;
  replicas: number;
}

/** Reads off the StatefulSet which of its pods are replaced, and by whom. */
export function replacementOf({ spec }: StatefulSet): Replacement {
  const { updateStrategy, ordinals, replicas = 1 } = spec ?? {};
  const start = ordinals?.start ?? 0;
  const partition = updateStrategy?.rollingUpdate?.partition ?? 0;
  return updateStrategy?.type === 'OnDelete'
    ? { by: 'run', fromOrdinal: start, start, replicas }
    : { by: 'controller', fromOrdinal: start + partition, start, replicas };
}
