import { settingsIn } from '../config/services.ts';
import type { LoadedSettings } from '../config/settings.ts';
import type { InputOf, Procedure } from '../contract/input.ts';
import type { Plan } from '../contract/plan.ts';
import { planDisabling } from './features/plan-disabling.ts';
import { planReduction } from './features/plan-reduction.ts';
import { planReleaseRollback } from './helm/plan-release-rollback.ts';
import type { Clusters } from './kubernetes/api.ts';
import { planBlueGreenRollback } from './kubernetes/blue-green/plan-blue-green-rollback.ts';
import { planCanaryRollback } from './kubernetes/canary/plan-canary-rollback.ts';
import { planCircuitBreaker } from './kubernetes/config-map/plan-circuit-breaker.ts';
import { planRedirect } from './kubernetes/ingress/plan-redirect.ts';
import { planDeploymentRollback } from './kubernetes/deployment/plan-deployment-rollback.ts';
import { failureIn, inRegion, regionOf } from './region-plans.ts';
import { planRelease } from './owners/plan-release.ts';
import { withOwners } from './owners/with-owners.ts';
import { planServicesRollback } from './kubernetes/deployment/plan-services-rollback.ts';
import { planRestore } from './postgres/restore/plan-restore.ts';
import { planSchema } from './postgres/schema/plan-schema.ts';
import { planTransactions } from './postgres/sessions/plan-transactions.ts';
import { planClearing } from './redis/plan-clearing.ts';
import { planStatefulSetRollback } from './kubernetes/stateful-set/plan-stateful-set-rollback.ts';

/**
 * Resolves what a procedure would change; reads only, and needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export type Planner<P extends Procedure> = (
  clusters: Clusters,
  settings: LoadedSettings,
  input: InputOf<P>,
) => Promise<Plan>;

const planners: { [P in Procedure]: Planner<P> } = {
  deployment: planDeploymentRollback,
  'blue-green': planBlueGreenRollback,
  release: planRelease,
  'circuit-breaker': withOwners(planCircuitBreaker),
  redirect: withOwners(planRedirect),
  services: planServicesRollback,
  canary: planCanaryRollback,
  statefulset: withOwners(planStatefulSetRollback),
  helm: planReleaseRollback,
  schema: planSchema,
  database: withOwners(planRestore),
  transactions: planTransactions,
  feature: planDisabling,
  'reduce-feature': planReduction,
  cache: planClearing,
};

/** The planner of a procedure. */
export function plannerOf<P extends Procedure>(procedure: P): Planner<P> {
  return planners[procedure];
}

/**
 * Plans for one region, or where no region is named for the cluster that the input says.
 * @throws Refused for a region that the settings do not have, and what the planner throws, with the
 *   region in front.
 */
export async function planIn<P extends Procedure>(
  region: string | undefined,
  planner: Planner<P>,
  clusters: Clusters,
  loaded: LoadedSettings,
  input: InputOf<P>,
): Promise<Plan> {
  if (region === undefined) return planner(clusters, loaded, input);
  const { context } = regionOf(loaded.settings, region);
  const settings = settingsIn(loaded.settings, region);
  try {
    return inRegion(
      region,
      await planner(clusters, { ...loaded, settings }, { ...input, context }),
    );
  } catch (error) {
    throw failureIn(region, error);
  }
}
