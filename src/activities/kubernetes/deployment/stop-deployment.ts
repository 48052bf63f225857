import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Cluster, Clusters } from '../api.ts';
import { followUntil, into, intoOne } from '../follow-until.ts';
import { inWords, isObserved, objectPath, readTarget } from '../objects.ts';
import { Unseen } from '../patience.ts';
import { podsPath, type Pod } from '../pods.ts';
import { type Obstacle, staysTerminating } from './obstacles.ts';
import { type ReplicasMandate, replicasOf } from './replicas.ts';
import { selectorOf, type Deployment } from './revisions.ts';
import { scaleDeployment } from './scale-deployment.ts';

/** A pod has its grace period to end, and so long until its node has told that it did. */
const endsWithinSeconds = 60;
/** How long a pod may go on before anybody has told it to end. */
const toldWithinMs = 60_000;

/**
 * Scales a Deployment to zero, whoever needs its pods, and waits until the last of them has ended:
 * one that has been told to end may still write.
 * @throws RolloutBlocked with the pod that does not end.
 * @throws PlanStale as changeObject does, and where somebody else starts it meanwhile.
 */
export async function stopDeployment(
  clusters: Clusters,
  mandate: ReplicasMandate,
  progress: Progress,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  const [deployment, effect] = await Promise.all([
    readTarget<Deployment>(cluster, target),
    // Whoever needs its pods does without them: that is what stopping is for.
    scaleDeployment(clusters, mandate, progress, () => Promise.resolve()),
  ]);
  const gone = await untilGone(cluster, mandate, selectorOf(deployment), progress);
  return { ...effect, text: `${effect.text} ${gone}` };
}

/** Follows the Deployment until no pod of it is left; says so. */
async function untilGone(
  cluster: Cluster,
  { change: { target } }: ReplicasMandate,
  labelSelector: string,
  progress: Progress,
): Promise<string> {
  const { namespace, name, uid } = target;
  const deployments = new Map<string, Deployment>();
  const pods = new Map<string, Pod>();
  const unseen = new Unseen(progress);
  const told = progress.standstill('told');
  let most = 0;
  return followUntil(
    progress,
    cluster,
    [
      intoOne(deployments, objectPath('deployment', namespace), name),
      into(pods, podsPath(namespace), { labelSelector }),
    ],
    () => {
      const deployment = deployments.get(name);
      assertStillStopped(deployment, uid, inWords(target));
      const left = [...pods.values()].filter((pod) => isRunningPodOf(name, pod));
      const observed = isObserved(deployment);
      if (observed && (deployment.status?.replicas ?? 0) === 0 && left.length === 0) {
        return `No pod of ${name} is left.`;
      }
      most = Math.max(most, left.length);
      const text = `${left.length} of ${most} pods of ${name} have not ended yet`;
      progress.report(text, most - left.length, most);
      const obstacle =
        unseen.obstacle(observed) ??
        left.map((pod) => staysTerminating(pod, endsWithinSeconds)).find(Boolean) ??
        notTold(left, told.ms());
      if (!obstacle) return undefined;
      throw ApplicationFailure.nonRetryable(
        `${inWords(target)} does not stop (${text}): ${obstacle.text}. It may still write until then.`,
        failureTypes.rolloutBlocked,
      );
    },
  );
}

/** Of the Deployment itself, whose selector others' pods may match too; what has ended by itself stays as a record. */
function isRunningPodOf(name: string, { metadata, status }: Pod): boolean {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return false;
  const hash = metadata?.labels?.['pod-template-hash'];
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller);
  return owner?.kind === 'ReplicaSet' && owner.name === `${name}-${hash}`;
}

function notTold(left: readonly Pod[], ms: number): Obstacle | undefined {
  const pod = left.find(({ metadata }) => metadata?.deletionTimestamp === undefined);
  if (!pod || ms < toldWithinMs) return undefined;
  return {
    kind: 'deadline',
    text: `pod ${pod.metadata?.name} was not told to end within ${toldWithinMs / 1000} s: look whether the controller manager runs`,
  };
}

/** @throws PlanStale where somebody else starts the Deployment meanwhile, or deletes it. */
function assertStillStopped(
  deployment: Deployment | undefined,
  uid: string,
  what: string,
): asserts deployment is Deployment {
  if (deployment?.metadata?.uid !== uid) {
    throw stale(`${what} was deleted while it stopped: look at what stands there.`);
  }
  const replicas = replicasOf(deployment);
  if (replicas === 0) return;
  throw stale(
    `Somebody else scaled ${what} to ${replicas} while it stopped: find out who, and start again.`,
  );
}
