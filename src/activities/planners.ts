import type { LoadedSettings } from '../config/settings.ts';
import type { InputOf, Procedure } from '../contract/input.ts';
import type { Plan } from '../contract/plan.ts';
import { planReleaseRollback } from './helm/plan-release-rollback.ts';
import type { Clusters } from './kubernetes/api.ts';
import { planDeploymentRollback } from './kubernetes/deployment/plan-deployment-rollback.ts';

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
  helm: planReleaseRollback,
};

/** The planner of a procedure. */
export function plannerOf<P extends Procedure>(procedure: P): Planner<P> {
  return planners[procedure];
}
