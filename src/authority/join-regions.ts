import { joinPlans } from '../activities/region-plans.ts';
import { audienceOf } from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import type { CommonInput } from '../contract/input.ts';
import type { Plan, Planned, PlannedRegion } from '../contract/plan.ts';
import { originOf } from './origin.ts';
import type { AuthorityParts, Execution } from './parts.ts';
import { TokenError } from './register.ts';
import { sealPlan } from './seal-plan.ts';

export interface RegionsToJoin {
  rawInput: unknown;
  input: CommonInput;
  regions: PlannedRegion[];
  /** What was planned, by region, each with the seal of the worker that planned it. */
  parts: { region: string; plan: Plan; seal: string }[];
  /** Digest of the plan that this one replaces. */
  earlier: string | undefined;
}

/**
 * Makes one plan of those for each region, and seals it: only of parts that workers sealed for this
 * very execution, so that nothing can be slipped in between.
 * @throws {TokenError} where a part is anybody's.
 */
export async function joinRegions(
  authority: AuthorityParts,
  execution: Execution,
  { rawInput, input, regions, parts, earlier }: RegionsToJoin,
): Promise<Omit<Planned<unknown>, 'input'>> {
  // A dry run has no seals, and gets none.
  if (!input.dryRun) {
    const { firstRunId } = await originOf(authority.client, execution);
    const aud = audienceOf(authority.namespace, execution.workflowId);
    const register = authority.source.current();
    for (const { region, plan, seal } of parts) {
      const claims = await register.verifySeal(seal);
      const isOwn =
        claims.aud === aud &&
        claims.run === firstRunId &&
        claims.execution === execution.runId &&
        claims.plan === hashOf(plan);
      if (!isOwn || plan.targets.some((target) => target.region !== region)) {
        throw new TokenError(
          `The plan for region ${region} is not one that was made for this run.`,
        );
      }
    }
  }
  const plans = new Map(parts.map(({ region, plan }) => [region, plan]));
  const plan = joinPlans(regions, plans, input);
  return sealPlan(authority, execution, { rawInput, input, plan, earlier });
}
