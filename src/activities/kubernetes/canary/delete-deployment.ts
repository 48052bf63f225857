import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Clusters } from '../api.ts';
import { deleteObject } from '../delete-object.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { inWords } from '../objects.ts';
import { templateDigest } from '../templates.ts';
import { type RemovalMandate, sidesOf } from './canary-change.ts';
import { replicasOf } from './drive-scale.ts';
import { assertNoTraffic, readMesh } from './mesh.ts';

/**
 * Deletes the canary's Deployment once it gets no traffic and has no replicas. It takes its history
 * with it, so nothing brings it back but its manifest.
 * @throws PlanStale where it has another template than the plan says, gets traffic, or runs again.
 */
export async function deleteDeployment(
  clusters: Clusters,
  mandate: RemovalMandate,
): Promise<Effect> {
  const { target } = mandate.change;
  return deleteObject<Deployment>(clusters, mandate, {
    contentOf: ({ spec }) => templateDigest(spec?.template),
    async assertUnused(cluster, deployment) {
      if (replicasOf(deployment) > 0) {
        throw stale(
          `${inWords(target)} was scaled up again, to ${replicasOf(deployment)} replicas, and stays: find out by whom.`,
        );
      }
      assertNoTraffic(await readMesh(cluster, target.namespace), sidesOf(mandate.change).canary);
    },
  });
}
