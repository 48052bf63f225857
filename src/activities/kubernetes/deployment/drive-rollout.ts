import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import type { Progress } from '../../progress.ts';
import { isSurged, keptStrategy } from './annotations.ts';
import type { Clusters } from '../api.ts';
import { ends, readTarget, type DeploymentMandate } from './deployment-change.ts';
import { stale } from '../../failures.ts';
import { followUntil, into, intoOne } from '../follow-until.ts';
import { takeUpRollout } from './given-up.ts';
import { handBackDeployment, putStrategyBack } from './hand-back-deployment.ts';
import { findObstacle, type Obstacle } from './obstacles.ts';
import { scaleUpIsOnItsWay } from '../node-scale-up.ts';
import { LastProgress, Patience, undoneWithoutProgressMs, Unseen } from '../patience.ts';
import { objectPath } from '../objects.ts';
import { podsPath, type Pod } from '../pods.ts';
import { rolloutState } from './rollout-state.ts';
import { podTemplateHash, selectorOf, type Deployment } from './revisions.ts';
import { templateDigest } from '../templates.ts';
import { wakeReplicaSets } from '../wake.ts';

/**
 * Sees the rollout to the planned revision through to its end, by watch: complete as
 * `kubectl rollout status` says it. On the way it wakes a ReplicaSet that backs off after it was
 * refused pods, and gives up the raised strategy where the cluster turns out to have no room.
 * At its end the Deployment is handed back at once: a step of its own would leave the strategy
 * raised for longer, and cost a round trip.
 * @throws RolloutBlocked with the pod's own reason where it cannot finish.
 * @throws PlanStale where somebody else changes the template meanwhile.
 */
export async function driveRollout(
  clusters: Clusters,
  mandate: DeploymentMandate,
  progress: Progress,
): Promise<Effect> {
  const { context, namespace, name } = mandate.change.target;
  const { to } = ends(mandate);
  if (to.paused) return { changed: false, text: 'Paused as it was before: nothing rolls out.' };
  const cluster = clusters.of(context);
  const history = await readTarget(cluster, mandate);
  const replicaSet = history.revisions.find(({ template }) => template === to.template)?.replicaSet;
  const hash = replicaSet ? podTemplateHash(replicaSet) : '';

  const deployments = new Map<string, Deployment>();
  const pods = new Map<string, Pod>();
  const labelSelector = `${selectorOf(history.deployment)},pod-template-hash=${hash}`;
  const pace = new Patience();
  const available = new LastProgress(progress);
  const unseen = new Unseen(progress);
  return followUntil(
    progress,
    cluster,
    [
      intoOne(deployments, objectPath('deployment', namespace), name),
      into(pods, podsPath(namespace), { labelSelector }),
    ],
    look,
  );

  async function look(): Promise<Effect | undefined> {
    const deployment = deployments.get(name);
    assertStillOurs(deployment, mandate);
    const state = rolloutState(deployment);
    progress.report(state.text, state.available, state.wanted);
    if (state.complete) {
      if (!mandate.undo) await takeUpRollout(cluster, deployment);
      return handedBack(`${state.wanted} of ${state.wanted} replicas are available.`);
    }
    const sinceMs = available.msWithout(state.available);
    const obstacle =
      unseen.obstacle(state.observed) ??
      (state.observed ? findObstacle(deployment, [...pods.values()]) : undefined);
    pace.see(obstacle, state.available);
    if (mandate.undo && sinceMs >= undoneWithoutProgressMs) {
      return handedBack(`The version that was left is back, and ${state.text}.`);
    }
    if (!obstacle) return undefined;
    progress.report(`${state.text}; ${obstacle.text}`, state.available, state.wanted);
    if (obstacle.kind === 'capacity' && pace.mayWake()) await wakeReplicaSets(cluster, deployment);
    if (!pace.isSpent(obstacle)) return undefined;
    if (obstacle.kind === 'capacity' && (await mayGetRoom(deployment, obstacle))) {
      pace.restart();
      return undefined;
    }
    if (mandate.undo) {
      return handedBack(`The version that was left is back, and ${state.text}: ${obstacle.text}.`);
    }
    throw ApplicationFailure.nonRetryable(
      `The rollout of ${name} in ${namespace} cannot finish (${state.text}): ${obstacle.text}.`,
      failureTypes.rolloutBlocked,
    );
  }

  /** Gives up the raised strategy; where it was not raised, a node may be on its way. */
  async function mayGetRoom(deployment: Deployment, obstacle: Obstacle): Promise<boolean> {
    const surged = isSurged(deployment) && keptStrategy(deployment) !== undefined;
    const { uid } = mandate.change.target;
    if (surged && (await putStrategyBack(cluster, namespace, name, uid))) return true;
    return scaleUpIsOnItsWay(cluster, namespace, obstacle);
  }

  async function handedBack(words: string): Promise<Effect> {
    const { text } = await handBackDeployment(clusters, mandate);
    return { changed: true, text: `${words} ${text}` };
  }
}

function assertStillOurs(
  deployment: Deployment | undefined,
  mandate: DeploymentMandate,
): asserts deployment is Deployment {
  const { name, namespace, uid } = mandate.change.target;
  if (!deployment || deployment.metadata?.uid !== uid) {
    throw stale(`Deployment ${name} in ${namespace} was deleted while it rolled out.`);
  }
  if (templateDigest(deployment.spec?.template) !== ends(mandate).to.template) {
    const images = deployment.spec?.template.spec?.containers.map(({ image }) => image).join(', ');
    throw stale(
      `Somebody else changed Deployment ${name} in ${namespace} while it rolled out (it now asks for ${images}): their change stays; find out whose it is before you start again.`,
    );
  }
}
