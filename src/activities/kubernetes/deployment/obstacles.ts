/** Why a rollout does not get on, in the words of the pod or the controller. */
import { type Pod, secondsSince } from '../pods.ts';
import type { Deployment } from './revisions.ts';

export interface Obstacle {
  /** `capacity`: no room for more pods; `deadline`: the Deployment's own progress deadline. */
  kind: 'capacity' | 'pod' | 'paused' | 'deadline';
  text: string;
  /** The pod it was found on, where there is one. */
  pod?: string;
}

/** Reasons of a waiting container that do not pass by themselves within a start. */
const stuckReasons = new Set([
  'CrashLoopBackOff',
  'ImagePullBackOff',
  'ErrImagePull',
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);

/** The first obstacle in the way of the new pods of a rollout; undefined where none is seen. */
export function findObstacle(deployment: Deployment, newPods: Pod[]): Obstacle | undefined {
  if (deployment.spec?.paused) {
    return { kind: 'paused', text: 'the Deployment was paused while it rolled out' };
  }
  const found = findScaleObstacle(deployment, newPods);
  if (found) return found;
  const progressing = conditionOf(deployment, 'Progressing', 'False');
  if (progressing?.reason === 'ProgressDeadlineExceeded') {
    const waiting = newPods.map(notReady).find(Boolean);
    return {
      kind: 'deadline',
      text: `no progress within the Deployment's progressDeadlineSeconds${waiting ? `; ${waiting}` : ''}`,
    };
  }
  return undefined;
}

/** The first obstacle in the way of more pods, whatever becomes of the rollout. */
export function findScaleObstacle(deployment: Deployment, pods: Pod[]): Obstacle | undefined {
  const found = pods.map(stuckContainer).find(Boolean) ?? pods.map(unschedulable).find(Boolean);
  if (found) return found;
  const failure = conditionOf(deployment, 'ReplicaFailure', 'True');
  return failure && { kind: 'capacity', text: `${failure.reason}: ${failure.message}` };
}

function conditionOf({ status }: Deployment, type: string, wanted: string) {
  return status?.conditions?.find((c) => c.type === type && c.status === wanted);
}

/** A container of the pod that will not start by itself; undefined where there is none. */
export function stuckContainer(pod: Pod): Obstacle | undefined {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  for (const { name, state, lastState } of [...initContainerStatuses, ...containerStatuses]) {
    const waiting = state?.waiting;
    if (!waiting?.reason || !stuckReasons.has(waiting.reason)) continue;
    const last = lastState?.terminated;
    const details = [
      waiting.message,
      last && `last exit code ${last.exitCode}${last.reason ? ` (${last.reason})` : ''}`,
    ].filter(Boolean);
    return {
      kind: 'pod',
      pod: pod.metadata?.name,
      text: `pod ${pod.metadata?.name}, container ${name}: ${[waiting.reason, ...details].join(': ')}`,
    };
  }
  return undefined;
}

/** That no node takes the pod; undefined where one does, or it is not known yet. */
export function unschedulable(pod: Pod): Obstacle | undefined {
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return undefined;
  return {
    kind: 'capacity',
    pod: pod.metadata?.name,
    text: `pod ${pod.metadata?.name}: Unschedulable: ${scheduled.message}`,
  };
}

/** Says that a pod is not ready; undefined for one that is. */
export function notReady(pod: Pod): string | undefined {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return undefined;
  return `pod ${pod.metadata?.name} is not ready${ready?.message ? `: ${ready.message}` : ''}`;
}

/** A pod that is still there `forSeconds` after the end of its grace period. */
export function staysTerminating(pod: Pod, forSeconds: number): Obstacle | undefined {
  const { name, deletionTimestamp } = pod.metadata ?? {};
  const seconds = secondsSince(deletionTimestamp);
  if (seconds === undefined || seconds < forSeconds) return undefined;
  return {
    kind: 'pod',
    pod: name,
    text: `pod ${name} should have ended at ${deletionTimestamp} and is still there: its node ${pod.spec?.nodeName} may be gone, or a finalizer holds it; make sure that it does not run any more before you delete it by force`,
  };
}
