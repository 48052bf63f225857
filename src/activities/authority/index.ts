/** Activities on authority, under the names that follow `authority.` in the contract. */
import { Context } from '@temporalio/activity';
import type { DecisionRequest, DecisionVerdict } from '../../authority/assess-decision.ts';
import type { Authority } from '../../authority/authority.ts';
import type { RegionsToJoin } from '../../authority/join-regions.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import type { CommonInput } from '../../contract/input.ts';
import type { Planned, PlannedRegion } from '../../contract/plan.ts';
import { findRegions } from '../region-plans.ts';

export function authorityActivities(authority: Authority, { settings }: LoadedSettings) {
  return {
    /** Tells whether a decision that has arrived counts, with keys and roles as they are now. */
    assessDecision: async (request: DecisionRequest): Promise<DecisionVerdict> =>
      authority.assessDecision(currentExecution(), request),

    /**
     * The regions that a run was started for, with the queue of the worker there.
     * @throws Refused for one that the settings do not have.
     */
    // eslint-disable-next-line @typescript-eslint/require-await -- an activity's refusal is a rejection
    findRegions: async (input: CommonInput): Promise<PlannedRegion[]> =>
      findRegions(settings, input),

    /** Makes one sealed plan of those that were made for each region. */
    joinRegions: async (regions: RegionsToJoin): Promise<Planned<unknown>> => ({
      input: regions.input,
      ...(await authority.joinRegions(currentExecution(), regions)),
    }),
  };
}
export type AuthorityActivities = ReturnType<typeof authorityActivities>;

function currentExecution() {
  const { workflowExecution } = Context.current().info;
  if (!workflowExecution) throw new Error('Authority is about workflows.');
  return workflowExecution;
}
