import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect, Mandate } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Cluster, Clusters } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import { followUntil, into, intoOne } from '../follow-until.ts';
import { scaleUpIsOnItsWay } from '../node-scale-up.ts';
import { annotationPointer, inWords, isObserved, objectPath, readTarget } from '../objects.ts';
import { Patience } from '../patience.ts';
import { podsPath, readPods, type Pod } from '../pods.ts';
import { trafficTo, whyPodsMustStay } from '../service/traffic.ts';
import { wakeReplicaSets } from '../wake.ts';
import { findScaleObstacle, notReady, type Obstacle } from './obstacles.ts';
import { leftAtZero } from './left-at-zero.ts';
import {
  replicaEnds,
  type ReplicasMandate,
  replicasBefore,
  replicasOf,
  type ScaledDown,
  scaledDown,
  scaledDownAnnotation,
} from './replicas.ts';
import { selectorOf, type Deployment } from './revisions.ts';

/** What Kubernetes takes for a Deployment that does not say. */
const defaultDeadlineSeconds = 600;

/**
 * Gives a Deployment the planned number of replicas, or takes that back, and sees to its end that
 * they are available where it goes up. It goes to zero only where no Service needs the pods.
 * @param assertMayGo throws where the pods must stay
 * @throws RolloutBlocked with the pod's own reason where they do not get available, and with the
 *   Service's name where traffic goes to pods that are to go.
 * @throws PlanStale as changeObject does.
 */
export async function scaleDeployment(
  clusters: Clusters,
  mandate: ReplicasMandate,
  progress: Progress,
  assertMayGo: typeof assertNotNeeded = assertNotNeeded,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  const { from, to } = replicaEnds(mandate);
  const deployment = await readTarget<Deployment>(cluster, target);
  if (to === 0 && replicasOf(deployment) > 0) await assertMayGo(cluster, deployment, mandate);
  const { before, after } = mandate.change;
  const change = {
    ...mandate.change,
    before: { replicas: before.replicas },
    after: { replicas: after.replicas },
  };
  const effect = await changeObject(
    clusters,
    { ...mandate, change },
    aspectFor(mandate),
    deployment,
  );
  // What is put back as it was need not be better than it was.
  const isAwaited = to > from || (to === from && !mandate.undo);
  // What never went down need not come up either.
  if (!isAwaited || (mandate.undo && !effect.changed)) return effect;
  const labelSelector = selectorOf(deployment);
  return { ...effect, text: await untilAvailable(cluster, mandate, labelSelector, progress) };
}

/** @throws RolloutBlocked where a Service sends traffic to the Deployment's pods and needs them. */
export async function assertNotNeeded(
  cluster: Cluster,
  deployment: Deployment,
  { change: { target }, plan }: Pick<Mandate, 'change' | 'plan'>,
): Promise<void> {
  const pods = readPods(cluster, deployment);
  const why = whyPodsMustStay(await trafficTo(cluster, target.namespace, pods), plan);
  if (why === undefined) return;
  throw ApplicationFailure.nonRetryable(
    `${inWords(target)} keeps its pods: ${why}. Switch that Service first, then try again.`,
    failureTypes.rolloutBlocked,
  );
}

function aspectFor(mandate: ReplicasMandate): Aspect<Deployment, { replicas: number }> {
  const { change, run } = mandate;
  const { before, after } = change;
  const planned = Math.max(before.replicas, after.replicas);
  const isFree = (replicas: number) => replicas > 0 && (before.autoscaled || after.autoscaled);
  return {
    stateOf(deployment) {
      const replicas = replicasOf(deployment);
      return { replicas: isFree(replicas) ? planned : replicas };
    },
    operations(deployment, to) {
      const now = replicasOf(deployment);
      // An autoscaler may have chosen another number after the plan was made: that one is put back.
      const kept = mandate.undo && isFree(to.replicas) ? replicasBefore(deployment) : undefined;
      const set = { op: 'replace', path: '/spec/replicas', value: kept ?? to.replicas } as const;
      const path = annotationPointer(scaledDownAnnotation);
      if (to.replicas > 0) return scaledDown(deployment) ? [set, { op: 'remove', path }] : [set];
      const note: ScaledDown = {
        replicas: now > 0 ? now : (replicasBefore(deployment) ?? 1),
        ...{ run: run.workflowId, firstRunId: run.firstRunId, change: change.id },
      };
      return [set, { op: 'add', path, value: JSON.stringify(note) }];
    },
    inWords: ({ replicas }) => `is scaled to ${replicas}`,
    // Who stops what an ended run has left stopped starts it again.
    isTakenOver: (deployment) =>
      !mandate.undo && after.replicas === 0 && leftAtZero(deployment) !== undefined,
  };
}

/** Follows the Deployment until as many replicas as it asks for are available; answers how many, in words. */
async function untilAvailable(
  cluster: Cluster,
  mandate: ReplicasMandate,
  labelSelector: string,
  progress: Progress,
): Promise<string> {
  const { namespace, name, uid } = mandate.change.target;
  const deployments = new Map<string, Deployment>();
  const pods = new Map<string, Pod>();
  const patience = new Patience();
  const best = progress.standstill('available');
  return followUntil(
    progress,
    cluster,
    [
      intoOne(deployments, objectPath('deployment', namespace), name),
      into(pods, podsPath(namespace), { labelSelector }),
    ],
    async () => {
      const deployment = deployments.get(name);
      assertStillPlanned(deployment, uid, mandate);
      const { spec, status } = deployment;
      const wanted = replicasOf(deployment);
      const observed = isObserved(deployment);
      const available = observed ? (status?.availableReplicas ?? 0) : 0;
      const text = `${available} of ${wanted} replicas of ${name} are available`;
      progress.report(text, available, wanted);
      if (observed && available >= wanted) return `${text}.`;
      if (available > best.level) {
        best.restart();
        best.level = available;
      }
      const obstacle =
        findScaleObstacle(deployment, [...pods.values()]) ??
        overdue(best.ms(), spec?.progressDeadlineSeconds, pods);
      patience.see(obstacle, available);
      if (!obstacle) return undefined;
      if (obstacle.kind === 'capacity' && patience.mayWake()) {
        await wakeReplicaSets(cluster, deployment);
      }
      if (!patience.isSpent(obstacle)) return undefined;
      if (obstacle.kind === 'capacity' && (await scaleUpIsOnItsWay(cluster, namespace, obstacle))) {
        patience.restart();
        return undefined;
      }
      throw ApplicationFailure.nonRetryable(
        `${inWords(mandate.change.target)} does not come up (${text}): ${obstacle.text}.`,
        failureTypes.rolloutBlocked,
      );
    },
  );
}

function overdue(
  ms: number,
  deadlineSeconds = defaultDeadlineSeconds,
  pods: Map<string, Pod>,
): Obstacle | undefined {
  if (ms < deadlineSeconds * 1000) return undefined;
  const waiting = [...pods.values()].map(notReady).find(Boolean);
  return {
    kind: 'deadline',
    text: `no progress within ${deadlineSeconds} s${waiting ? `; ${waiting}` : ''}`,
  };
}

/** @throws PlanStale where somebody else scales the Deployment meanwhile, or deletes it. */
function assertStillPlanned(
  deployment: Deployment | undefined,
  uid: string,
  mandate: ReplicasMandate,
): asserts deployment is Deployment {
  const what = inWords(mandate.change.target);
  if (deployment?.metadata?.uid !== uid) {
    throw stale(`${what} was deleted while it came up: look at what stands there.`);
  }
  const { autoscaled } = mandate.change.after;
  const replicas = replicasOf(deployment);
  if (replicas === 0 || (!autoscaled && replicas !== replicaEnds(mandate).to)) {
    throw stale(
      `Somebody else scaled ${what} to ${replicas} while it came up: find out who, and start again.`,
    );
  }
}
