import { isObserved } from '../objects.ts';
import { type Pod, readySince, secondsSince } from '../pods.ts';
import { stuckContainer, unschedulable } from '../deployment/obstacles.ts';
import { isReady, isTerminating, ordinalOf, type Replacement, revisionOf } from './pods.ts';
import type { StatefulSet } from './revisions.ts';

/** How far the rollout of a StatefulSet is. */
export interface StatefulSetRollout {
  /** Whether the controller has seen the newest spec, so that its status speaks of it. */
  observed: boolean;
  complete: boolean;
  /** Pods that are to be replaced and have the new revision, ready. */
  ready: number;
  wanted: number;
  text: string;
}

/**
 * Reads a rollout off the pods, and off the status what it knows better: complete where `kubectl
 * rollout status` says so, and for OnDelete, about which it says nothing, where every pod is replaced.
 * @param revision name of the ControllerRevision that is rolled out
 */
export function rolloutOf(
  statefulSet: StatefulSet,
  pods: readonly Pod[],
  { by, fromOrdinal, start, replicas }: Replacement,
  revision: string,
): StatefulSetRollout {
  const wanted = Math.max(0, start + replicas - fromOrdinal);
  const inRange = (pod: Pod) => ordinalOf(pod) >= fromOrdinal && ordinalOf(pod) < start + replicas;
  const ready = pods.filter(
    (pod) => inRange(pod) && revisionOf(pod) === revision && isReady(pod),
  ).length;
  const allReady = pods.filter(isReady).length;
  const observed = isObserved(statefulSet);
  const { status } = statefulSet;
  const settled =
    by === 'run' || fromOrdinal > start || status?.currentRevision === status?.updateRevision;
  const complete =
    observed &&
    status?.updateRevision === revision &&
    settled &&
    ready === wanted &&
    allReady === replicas &&
    pods.length === replicas &&
    // Counts only pods that have been ready for minReadySeconds.
    (status.availableReplicas ?? 0) >= replicas;
  const rest =
    allReady < replicas && ready === wanted ? `, ${replicas - allReady} others are not ready` : '';
  return { observed, complete, ready, wanted, text: `${ready} of ${wanted} new pods ready${rest}` };
}

/** A pod that was never ready counts as stuck without a reason of its own after so long. */
const neverReadyForSeconds = 5;
/** So long a pod may not be ready that was before, and a new one may take to get so. */
const patienceSeconds = 60;

/**
 * The next pod that has to be deleted for the rollout to get on; undefined where the controller gets
 * on by itself, or a deleted pod is not gone yet. A pod of another revision that does not get ready is
 * waited for by the controller for ever (kubernetes#67250), and with OnDelete it replaces none: then
 * one that serves is replaced only while all others serve too.
 */
export function nextToDelete(
  { spec }: StatefulSet,
  pods: readonly Pod[],
  { by, fromOrdinal, replicas }: Replacement,
  revision: string,
): Pod | undefined {
  if (pods.some(isTerminating)) return undefined;
  const outdated = pods
    .filter((pod) => ordinalOf(pod) >= fromOrdinal && revisionOf(pod) !== revision)
    .sort((one, other) => ordinalOf(other) - ordinalOf(one));
  const stuck = outdated.find(isStuck);
  // While a new pod starts, another one less may be too many; but it may need that one to start.
  const isStarting = pods.some(
    (pod) =>
      revisionOf(pod) === revision &&
      !isReady(pod) &&
      (secondsSince(pod.metadata?.creationTimestamp) ?? 0) < patienceSeconds,
  );
  if (stuck && isStarting) return undefined;
  if (stuck || by === 'controller') return stuck;
  const minReadySeconds = spec?.minReadySeconds ?? 0;
  const serving = pods.filter(
    (pod) => isReady(pod) && (secondsSince(readySince(pod)) ?? 0) >= minReadySeconds,
  );
  const allServe = serving.length >= replicas;
  return allServe ? outdated[0] : undefined;
}

function isStuck(pod: Pod): boolean {
  if (isReady(pod)) return false;
  if (stuckContainer(pod) ?? unschedulable(pod)) return true;
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  const at = ready?.lastTransitionTime ?? pod.metadata?.creationTimestamp;
  const since = secondsSince(at);
  // Of one that was never ready, the condition is older than its containers.
  const starts = (pod.status?.containerStatuses ?? []).map(
    ({ state }) => state?.running?.startedAt,
  );
  const wasReady = starts.some((start) => start !== undefined && at !== undefined && at > start);
  return since !== undefined && since >= (wasReady ? patienceSeconds : neverReadyForSeconds);
}
