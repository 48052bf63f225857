import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Cluster, Clusters } from '../api.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { scaleDeployment } from '../deployment/scale-deployment.ts';
import { followUntil, intoOne } from '../follow-until.ts';
import { inWords, isObserved, objectPath } from '../objects.ts';
import { readPods } from '../pods.ts';
import { trafficTo, whyPodsMustStay } from '../service/traffic.ts';
import { type CanaryReplicasMandate, sidesOf } from './canary-change.ts';
import { assertNoTraffic, readMesh } from './mesh.ts';
import type { Destination } from './routes.ts';
import { assertStableReady, blocked } from './sides.ts';

/**
 * Scales the Deployment of a canary that gets no traffic to zero, until its pods are gone; or back to
 * the replicas that it had, until they are available.
 * @throws PlanStale where a route sends something to the canary, and as scaleDeployment does.
 * @throws RolloutBlocked where only the canary's pods are ready, where a Service that is not the
 *   canary's has no other, and as scaleDeployment does.
 */
export async function scaleCanary(
  clusters: Clusters,
  mandate: CanaryReplicasMandate,
  progress: Progress,
): Promise<Effect> {
  const { change, undo } = mandate;
  const { target } = change;
  const cluster = clusters.of(target.context);
  const effect = await scaleDeployment(clusters, mandate, progress, async (_, deployment) => {
    const sides = sidesOf(change);
    const mesh = await readMesh(cluster, target.namespace);
    assertNoTraffic(mesh, sides.canary);
    if (sides.stable.length > 0) await assertStableReady(mesh, sides);
    const why = await whyCanaryMustStay(cluster, deployment, sides.canary);
    if (why !== undefined) throw blocked(`${inWords(target)} keeps its pods: ${why}.`);
  });
  if (undo) return effect;
  await untilGone(cluster, mandate, progress);
  return { ...effect, text: `${inWords(target)} has no pods any more.` };
}

/** Why the pods of a Deployment must stay though its canary goes; undefined where they may go. */
export async function whyCanaryMustStay(
  cluster: Cluster,
  deployment: Deployment,
  canary: readonly Destination[],
): Promise<string | undefined> {
  const { namespace = '' } = deployment.metadata ?? {};
  const traffic = await trafficTo(cluster, namespace, readPods(cluster, deployment));
  const ofOthers = traffic.filter(({ service }) => !canary.includes(service));
  return whyPodsMustStay(ofOthers, { targets: [] });
}

/** Pods that end do not count, so that this is the controller's work alone. */
const goneWithinMs = 60_000;

/** Follows the Deployment until its controller says that it has no pods but such as end. */
async function untilGone(
  cluster: Cluster,
  { change: { target } }: CanaryReplicasMandate,
  progress: Progress,
): Promise<void> {
  const { namespace, name, uid } = target;
  const deployments = new Map<string, Deployment>();
  const staying = progress.standstill('gone');
  await followUntil(
    progress,
    cluster,
    [intoOne(deployments, objectPath('deployment', namespace), name)],
    () => {
      const deployment = deployments.get(name);
      if (!deployment) return true;
      const { metadata, spec, status } = deployment;
      if (metadata?.uid !== uid || (spec?.replicas ?? 1) > 0) {
        throw stale(
          `Somebody else brought ${inWords(target)} up again: find out who, and take that back.`,
        );
      }
      const left = status?.replicas ?? 0;
      progress.report(`${left} pods left`);
      if (isObserved(deployment) && left === 0) return true;
      if (staying.ms() < goneWithinMs) return undefined;
      throw blocked(
        `${inWords(target)} still has ${left} pods ${goneWithinMs / 1000} s after it was scaled to zero: look whether the controller manager runs, and try again.`,
      );
    },
  );
}
