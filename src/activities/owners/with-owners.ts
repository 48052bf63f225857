import { digestPlan } from '../../contract/digest.ts';
import type { Procedure } from '../../contract/input.ts';
import { isInCluster, isOwner, type Plan } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { objectPath } from '../kubernetes/objects.ts';
import type { Planner } from '../planners.ts';
import { findOwners } from './find-owners.ts';
import { OwnerLookup } from './lookup.ts';

/**
 * A planner whose plan also holds the owners of all that it changes, so that none of them puts back
 * what the run has done.
 */
export function withOwners<P extends Procedure>(planner: Planner<P>): Planner<P> {
  return async (clusters, loaded, input) => {
    const plan = await planner(clusters, loaded, input);
    const inCluster = plan.targets.filter(isInCluster);
    const [first] = inCluster;
    if (!first || plan.changes.length === 0) return plan;
    const cluster = clusters.of(first.context);
    const lookup = new OwnerLookup(clusters, cluster, loaded.settings);
    const objects = await Promise.all(
      inCluster
        .filter((target) => !isOwner(target))
        .map(({ kind, namespace, name }) =>
          cluster.find<KubernetesObject>(objectPath(kind, namespace, name)),
        ),
    );
    const found = objects.filter((object) => object !== undefined);
    const owners = await findOwners(lookup, ...found);
    if (owners.refusal !== undefined) throw refused(owners.refusal);
    return joined(plan, owners);
  };
}

function joined(
  plan: Plan,
  { changes, targets, warnings }: Awaited<ReturnType<typeof findOwners>>,
): Plan {
  return digestPlan({
    ...plan,
    targets: [...plan.targets, ...targets],
    changes: [...plan.changes, ...changes],
    warnings: [...new Set([...warnings, ...plan.warnings])],
  });
}
