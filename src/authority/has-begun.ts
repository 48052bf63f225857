import { hasChanged } from '../activities/kubernetes/last-change.ts';
import { hasChangedDatabase } from '../activities/postgres/last-change.ts';
import { isInCluster, type Mandate } from '../contract/plan.ts';
import type { AuthorityParts } from './parts.ts';

/**
 * Whether the run has changed one of the targets already: then it may go on rather than stop
 * halfway. Believes the objects and databases only, which nobody changes who may write to Temporal
 * alone; flags and caches keep no mark of a run.
 */
export async function hasBegun(
  { clusters, settings }: AuthorityParts,
  { change, plan, run }: Mandate,
): Promise<boolean> {
  const found = await Promise.all(
    plan.targets.map(async (target) => {
      if (isInCluster(target)) return hasChanged(clusters.of(target.context), target, run);
      const { kind } = change;
      return (
        target.kind === 'database' && hasChangedDatabase(settings.current(), { kind, target }, run)
      );
    }),
  );
  return found.includes(true);
}
