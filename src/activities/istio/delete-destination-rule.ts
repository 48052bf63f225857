import { hashOf } from '../../contract/digest.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { type RuleDeletionMandate, sidesOf } from '../kubernetes/canary/canary-change.ts';
import { assertNoTraffic, readRouters } from '../kubernetes/canary/mesh.ts';
import { deleteObject } from '../kubernetes/delete-object.ts';
import { inWords } from '../kubernetes/objects.ts';
import { type DestinationRule, isOfCanaryAlone } from './destination-rule.ts';

/**
 * Deletes a DestinationRule that is about the canary alone, once no route sends anything there: a
 * subset must be there for as long as a route uses it.
 * @throws PlanStale where it was changed since the plan, is about others too, or the canary gets
 *   traffic.
 */
export async function deleteDestinationRule(
  clusters: Clusters,
  mandate: RuleDeletionMandate,
): Promise<Effect> {
  const { change } = mandate;
  const { canary } = sidesOf(change);
  return deleteObject<DestinationRule>(clusters, mandate, {
    isAsPlanned: ({ spec }) => hashOf(spec) === change.before.rule,
    async assertUnused(cluster, rule) {
      if (!isOfCanaryAlone(rule, canary)) {
        throw stale(`${inWords(change.target)} is not about the canary alone, and stays.`);
      }
      assertNoTraffic(await readRouters(cluster, change.target.namespace), canary);
    },
  });
}
