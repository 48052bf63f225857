import { wasRestoredBy } from '../activities/kubernetes/deployment/annotations.ts';
import type { Clusters } from '../activities/kubernetes/api.ts';
import { deploymentPath, type Deployment } from '../activities/kubernetes/deployment/revisions.ts';
import type { RunIdentity, Target } from '../contract/plan.ts';

/**
 * Whether the run has changed one of the targets already: then it may go on rather than stop
 * halfway. Believes the object only, which nobody changes who may write to Temporal alone.
 */
export async function hasBegun(
  clusters: Clusters,
  targets: readonly Target[],
  run: RunIdentity,
): Promise<boolean> {
  const found = await Promise.all(
    targets.map(({ context, namespace, name }) =>
      clusters.of(context).find<Deployment>(deploymentPath(namespace, name)),
    ),
  );
  return found.some((deployment) => deployment && wasRestoredBy(deployment, run));
}
