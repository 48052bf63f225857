/** Why the rollout of a StatefulSet does not get on, in the words of the pod or the controller. */
import type { Cluster, ListOf } from '../api.ts';
import {
  notReady,
  type Obstacle,
  staysTerminating,
  stuckContainer,
  unschedulable,
} from '../deployment/obstacles.ts';
import type { Pod } from '../pods.ts';
import { isReady } from './pods.ts';
import type { StatefulSet } from './revisions.ts';

/** A deleted pod whose node has gone stays for ever; others take their grace period and a moment. */
const terminatingForSeconds = 30;
/** A StatefulSet has no progress deadline of its own; a Deployment's is this. */
const noProgressForMs = 600_000;

/**
 * The first obstacle in the way of the rollout; undefined where none is seen.
 * @param pods all that the StatefulSet has made
 * @param concerned those of them that it cannot get past where they are stuck
 * @param sinceMs how long no pod has got ready
 */
export async function findStatefulSetObstacle(
  cluster: Cluster,
  statefulSet: StatefulSet,
  { pods, concerned }: { pods: readonly Pod[]; concerned: readonly Pod[] },
  sinceMs: number,
): Promise<Obstacle | undefined> {
  const found =
    pods.map((pod) => staysTerminating(pod, terminatingForSeconds)).find(Boolean) ??
    concerned.map(stuckContainer).find(Boolean) ??
    concerned.map(unschedulable).find(Boolean);
  if (found) return found;
  if (pods.length < (statefulSet.spec?.replicas ?? 1) && pods.every(isReady)) {
    const refused = await refusedPods(cluster, statefulSet);
    if (refused) return refused;
  }
  if (sinceMs < noProgressForMs) return undefined;
  const waiting = pods.map(notReady).find(Boolean);
  return {
    kind: 'deadline',
    text: `no pod got ready within ${noProgressForMs / 60_000} minutes${waiting ? `; ${waiting}` : ''}`,
  };
}

/** Why the controller could not make a pod, from its last event; undefined where it made all. */
async function refusedPods(
  cluster: Cluster,
  { metadata }: StatefulSet,
): Promise<Obstacle | undefined> {
  const { items } = await cluster.get<
    ListOf<{ reason?: string; message?: string; lastTimestamp?: string }>
  >(`/api/v1/namespaces/${metadata?.namespace}/events`, {
    fieldSelector: `involvedObject.kind=StatefulSet,involvedObject.uid=${metadata?.uid}`,
  });
  const last = items
    .filter(({ reason }) => reason === 'FailedCreate' || reason === 'SuccessfulCreate')
    .sort((one, other) => (one.lastTimestamp ?? '').localeCompare(other.lastTimestamp ?? ''))
    .at(-1);
  return last?.reason === 'FailedCreate'
    ? { kind: 'capacity', text: `FailedCreate: ${last.message}` }
    : undefined;
}
