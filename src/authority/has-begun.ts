import type { Clusters } from '../activities/kubernetes/api.ts';
import { hasChanged } from '../activities/kubernetes/last-change.ts';
import { isInCluster, type RunIdentity, type Target } from '../contract/plan.ts';

/**
 * Whether the run has changed one of the targets already: then it may go on rather than stop
 * halfway. Believes the objects only, which nobody changes who may write to Temporal alone.
 */
export async function hasBegun(
  clusters: Clusters,
  targets: readonly Target[],
  run: RunIdentity,
): Promise<boolean> {
  const found = await Promise.all(
    targets
      .filter(isInCluster)
      .map((target) => hasChanged(clusters.of(target.context), target, run)),
  );
  return found.includes(true);
}
