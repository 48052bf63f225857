/** Activities on feature flags, under the names that follow `features.` in the contract. */
import { Context } from '@temporalio/activity';
import type { Mandate } from '../../contract/plan.ts';
import { planning, type PlanningParts } from '../planning.ts';
import { activityProgress, isTakenForDead } from '../progress.ts';
import type { ClearingChange } from '../redis/cache-change.ts';
import { awaitFlag } from './await-flag.ts';
import { compareFlag } from './compare-flag.ts';
import { measureErrorRate } from './error-rate.ts';
import type { FlagMandate, ReductionChange } from './flag-change.ts';
import { setFlag } from './set-flag.ts';
import { tellStanding } from './tell-standing.ts';

export function featuresActivities(parts: PlanningParts) {
  const { settings, authority } = parts;
  return {
    planDisabling: planning(parts, 'feature'),
    planReduction: planning(parts, 'reduce-feature'),
    compareFlag: (mandate: FlagMandate) => compareFlag(settings, mandate),
    /**
     * @param percentage one of the plan's shares, where it is reduced
     * @param from what it was reduced to last, or its share before the plan
     */
    setFlag: (mandate: FlagMandate, percentage?: number, from?: number) => {
      const context = Context.current();
      const attempt = {
        ...{ isRetried: context.info.attempt > 1, signal: context.cancellationSignal },
        isTakenForDead: () => isTakenForDead(context),
      };
      return setFlag(settings, mandate, { percentage, from }, attempt);
    },
    awaitFlag: (
      mandate: FlagMandate | Mandate<ClearingChange>,
      percentage?: number,
      mayClear = false,
    ) => awaitFlag(settings, mandate, percentage, mayClear, activityProgress()),
    tellStanding: ({ change }: FlagMandate) => tellStanding(settings, change),
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
