import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Change, Effect, Mandate } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import { KubernetesError, type Clusters } from '../api.ts';
import { inWords, objectPath } from '../objects.ts';
import { templateDigest } from '../templates.ts';
import { replicasOf } from './replicas.ts';
import type { Deployment } from './revisions.ts';
import { assertNotNeeded } from './scale-deployment.ts';

export interface DeletionChange extends Change<{ template: string }, { template: null }> {
  kind: 'deployment/delete';
}
export type DeletionMandate = Mandate<DeletionChange>;

const attempts = 10;

/**
 * Deletes a Deployment that has no replicas, is as it was planned and gets no traffic. There is no way
 * back: its history goes with it.
 * @throws RolloutBlocked where it still has replicas or a Service needs its pods.
 * @throws PlanStale where another version is in it, or another Deployment has its name; asked to undo.
 */
export async function deleteDeployment(
  clusters: Clusters,
  mandate: DeletionMandate,
): Promise<Effect> {
  const { target, before } = mandate.change;
  const cluster = clusters.of(target.context);
  const path = objectPath('deployment', target.namespace, target.name);
  const what = inWords(target);
  if (mandate.undo) throw stale(`${what}: a deletion cannot be taken back. Nothing was changed.`);
  for (let attempt = 1; ; attempt++) {
    const deployment = await cluster.find<Deployment>(path);
    // An earlier attempt of this very run may have done it and not lived to say so.
    if (!deployment) return { changed: true, text: `${what} is gone.` };
    const { uid, resourceVersion } = deployment.metadata ?? {};
    if (uid !== target.uid) {
      throw stale(`${what} was deleted and made anew after the plan was made: it stays.`);
    }
    if (templateDigest(deployment.spec?.template) !== before.template) {
      throw stale(`${what} was released anew after the plan was made: it stays.`);
    }
    if (replicasOf(deployment) > 0) {
      throw ApplicationFailure.nonRetryable(
        `${what} stays: it has ${replicasOf(deployment)} replicas, and only what is scaled to zero is deleted.`,
        failureTypes.rolloutBlocked,
      );
    }
    await assertNotNeeded(cluster, deployment, mandate);
    try {
      await cluster.delete(path, { uid, resourceVersion });
      return { changed: true, text: `${what} is deleted.` };
    } catch (error) {
      // Its controller writes its status: read again and look.
      const raced = error instanceof KubernetesError && [404, 409].includes(error.status);
      if (!raced || attempt === attempts) throw error;
    }
  }
}
