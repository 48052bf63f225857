import type { Cluster } from '../api.ts';
import { findObstacle, type Obstacle } from '../deployment/obstacles.ts';
import { rolloutState } from '../deployment/rollout-state.ts';
import { isObserved } from '../objects.ts';
import type { Pod } from '../pods.ts';
import { findStatefulSetObstacle } from '../stateful-set/obstacles.ts';
import { ownPods } from '../stateful-set/pods.ts';
import { restartedAnnotation } from '../templates.ts';
import type { StatefulSet, Workload, WorkloadKind } from './workload.ts';

/** How far a restart is, complete as `kubectl rollout status` says it. */
export interface RestartProgress {
  /** Whether the controller has seen the newest spec. */
  observed: boolean;
  isComplete: boolean;
  ready: number;
  wanted: number;
  text: string;
}

/** Reads off the workload how far its restart is. */
export function restartProgress(kind: WorkloadKind, workload: Workload): RestartProgress {
  if (kind === 'statefulset') return ofStatefulSet(workload as StatefulSet);
  const { observed, complete, available, wanted, text } = rolloutState(workload);
  return { observed, isComplete: complete, ready: available, wanted, text };
}

/** With a partition, only the pods from that ordinal on are new. */
function ofStatefulSet(statefulSet: StatefulSet): RestartProgress {
  const { spec, status } = statefulSet;
  const replicas = spec?.replicas ?? 1;
  const partition = spec?.updateStrategy?.rollingUpdate?.partition ?? 0;
  const wanted = Math.max(0, replicas - partition);
  const observed = isObserved(statefulSet);
  const updated = observed ? (status?.updatedReplicas ?? 0) : 0;
  const isComplete =
    observed &&
    (status?.readyReplicas ?? 0) >= replicas &&
    (partition > 0 ? updated >= wanted : status?.currentRevision === status?.updateRevision);
  // Where all pods are of one revision, the controller counts none as updated.
  const ready = isComplete ? wanted : updated;
  return { observed, isComplete, wanted, ready, text: `${ready} of ${wanted} pods are new` };
}

/**
 * What is in the way of a restart that its controller has seen and that is not complete; undefined where
 * nothing is seen. What ails the old pods is no obstacle to the new, but where a StatefulSet waits for each
 * of its pods in order.
 * @param pods all that its selector matches
 * @param sinceMs how long no new pod has got ready
 */
export async function findRestartObstacle(
  cluster: Cluster,
  kind: WorkloadKind,
  workload: Workload,
  pods: readonly Pod[],
  sinceMs: number,
): Promise<Obstacle | undefined> {
  const at = workload.spec?.template.metadata?.annotations?.[restartedAnnotation];
  const isNew = ({ metadata }: Pod) => metadata?.annotations?.[restartedAnnotation] === at;
  if (kind === 'deployment') return findObstacle(workload, pods.filter(isNew));
  const statefulSet = workload as StatefulSet;
  const own = ownPods(statefulSet, pods);
  const inOrder = statefulSet.spec?.podManagementPolicy !== 'Parallel';
  const concerned = inOrder ? own : own.filter(isNew);
  return findStatefulSetObstacle(cluster, statefulSet, { pods: own, concerned }, sinceMs);
}
