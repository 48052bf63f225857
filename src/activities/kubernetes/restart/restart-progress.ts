import {
  findObstacle,
  type Obstacle,
  stuckContainer,
  unschedulable,
} from '../deployment/obstacles.ts';
import { rolloutState } from '../deployment/rollout-state.ts';
import type { Pod } from '../pods.ts';
import { restartedAnnotation } from '../templates.ts';
import type { Deployment, StatefulSet, Workload, WorkloadKind } from './workload.ts';

/** How far a restart is, complete as `kubectl rollout status` says it. */
export interface RestartProgress {
  isComplete: boolean;
  ready: number;
  wanted: number;
  text: string;
  obstacle: Obstacle | undefined;
}

/** Reads a restart off the workload and its pods. What ails the old ones is no obstacle to the new. */
export function restartProgress(
  kind: WorkloadKind,
  workload: Workload,
  pods: readonly Pod[],
): RestartProgress {
  const at = workload.spec?.template.metadata?.annotations?.[restartedAnnotation];
  const isNew = ({ metadata }: Pod) => metadata?.annotations?.[restartedAnnotation] === at;
  const newPods = pods.filter(isNew);
  return kind === 'deployment'
    ? ofDeployment(workload, newPods)
    : ofStatefulSet(workload as StatefulSet, newPods);
}

function ofDeployment(deployment: Deployment, newPods: Pod[]): RestartProgress {
  const { complete, available, wanted, text, observed } = rolloutState(deployment);
  const obstacle = observed && !complete ? findObstacle(deployment, newPods) : undefined;
  return { isComplete: complete, ready: available, wanted, text, obstacle };
}

/** With a partition, only the pods from that ordinal on are new. */
function ofStatefulSet({ metadata, spec, status }: StatefulSet, newPods: Pod[]): RestartProgress {
  const replicas = spec?.replicas ?? 1;
  const partition = spec?.updateStrategy?.rollingUpdate?.partition ?? 0;
  const wanted = Math.max(0, replicas - partition);
  const isObserved = (metadata?.generation ?? 0) <= (status?.observedGeneration ?? 0);
  const updated = isObserved ? (status?.updatedReplicas ?? 0) : 0;
  const isComplete =
    isObserved &&
    (status?.readyReplicas ?? 0) >= replicas &&
    (partition > 0 ? updated >= wanted : status?.currentRevision === status?.updateRevision);
  return {
    ...{ isComplete, wanted },
    // Where all pods are of one revision, the controller counts none as updated.
    ready: isComplete ? wanted : updated,
    text: `${isComplete ? wanted : updated} of ${wanted} pods are new`,
    obstacle: newPods.map(stuckContainer).find(Boolean) ?? newPods.map(unschedulable).find(Boolean),
  };
}
