/** Activities on feature flags, under the names that follow `features.` in the contract. */
import { Context } from '@temporalio/activity';
import type { Mandate } from '../../contract/plan.ts';
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress } from '../progress.ts';
import type { ClearingChange } from '../redis/cache-change.ts';
import { awaitFlag } from './await-flag.ts';
import { compareFlag } from './compare-flag.ts';
import { measureErrorRate } from './error-rate.ts';
import type { FlagMandate, ReductionChange } from './flag-change.ts';
import { setFlag } from './set-flag.ts';

export function featuresActivities(parts: PlanningParts) {
  const { settings, authority } = parts;
  return {
    planDisabling: planning(parts, 'feature'),
    planReduction: planning(parts, 'reduce-feature'),
    compareFlag: (mandate: FlagMandate) => compareFlag(settings, mandate),
    /** @param percentage one of the plan's shares, where it is reduced */
    setFlag: (mandate: FlagMandate, percentage?: number) =>
      setFlag(settings, mandate, percentage, Context.current().info.attempt > 1),
    awaitFlag: (mandate: FlagMandate | Mandate<ClearingChange>, percentage?: number) =>
      awaitFlag(settings, mandate, percentage, activityProgress()),
    measureErrorRate: ({ change, run }: Mandate<ReductionChange>) =>
      measureErrorRate(
        settings,
        change,
        (text) => authority.tellContact(run.workflowId, text, true),
        activityProgress().cancelled,
      ),
  };
}
export type FeaturesActivities = ReturnType<typeof featuresActivities>;
