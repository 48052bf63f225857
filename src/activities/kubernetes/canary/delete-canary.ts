import type { Effect } from '../../../contract/plan.ts';
import type { Clusters } from '../api.ts';
import { deleteObject } from '../delete-object.ts';
import { replicasOf } from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { inWords } from '../objects.ts';
import { templateDigest } from '../templates.ts';
import { type CanaryDeletionMandate, sidesOf } from './canary-change.ts';
import { assertNoTraffic, readRouters } from './mesh.ts';
import { blocked } from './sides.ts';

/**
 * Deletes the Deployment of a canary once that gets no traffic and has no replicas. Its history goes
 * with it, so only its manifest brings it back.
 * @throws PlanStale where it has another template than was planned, or gets traffic.
 * @throws RolloutBlocked where it has replicas.
 */
export async function deleteCanary(
  clusters: Clusters,
  mandate: CanaryDeletionMandate,
): Promise<Effect> {
  const { target, before } = mandate.change;
  return deleteObject<Deployment>(clusters, mandate, {
    isAsPlanned: ({ spec }) => templateDigest(spec?.template) === before.template,
    async assertUnused(cluster, deployment) {
      if (replicasOf(deployment) > 0) {
        throw blocked(
          `${inWords(target)} stays: it has ${replicasOf(deployment)} replicas, and only what is scaled to zero is deleted.`,
        );
      }
      assertNoTraffic(await readRouters(cluster, target.namespace), sidesOf(mandate.change).canary);
    },
  });
}
