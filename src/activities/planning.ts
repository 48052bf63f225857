import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Authority } from '../authority/authority.ts';
import type { LoadedSettings } from '../config/settings.ts';
import { failureTypes } from '../contract/failures.ts';
import { type InputOf, InvalidInputError, parseInput, type Procedure } from '../contract/input.ts';
import type { Planned } from '../contract/plan.ts';
import { refused } from './failures.ts';
import type { Clusters } from './kubernetes/api.ts';
import { type RightsBeside, whyForbidden } from './kubernetes/forbidden.ts';
import { planIn, plannerOf } from './planners.ts';
import { failureIn } from './region-plans.ts';

/** What planning activities work with. */
export interface PlanningParts {
  authority: Authority;
  clusters: Clusters;
  settings: LoadedSettings;
}

/**
 * Makes the planning activity of a procedure: whatever the run was started with is validated before
 * anything is read, and the plan is sealed. Here and not in workflow code, which is loaded anew for
 * every run and would carry the schemas each time. A plan that this worker may not carry out is
 * refused here and not by the planners, which others use as well, with rights of their own. `earlier` is
 * the digest of the plan that this one replaces, `region` the one to plan for where the run is for several.
 */
export function planning<P extends Procedure>(
  { authority, clusters, settings }: PlanningParts,
  procedure: P,
  rightsBeside?: RightsBeside,
): (input: unknown, earlier?: string, region?: string) => Promise<Planned<InputOf<P>>> {
  return async (raw, earlier, region) => {
    const input = validated(procedure, raw);
    const { workflowExecution } = Context.current().info;
    if (!workflowExecution) throw new Error('Planning is for workflows.');
    const plan = await planIn(region, plannerOf(procedure), clusters, settings, input);
    const toSeal = { rawInput: raw, input, plan, earlier };
    const [forbidden, sealed] = await Promise.all([
      whyForbidden(clusters, plan, rightsBeside),
      authority.seal(workflowExecution, toSeal),
    ]);
    if (forbidden !== undefined) {
      throw region === undefined ? refused(forbidden) : failureIn(region, refused(forbidden));
    }
    return { input, ...sealed };
  };
}

function validated<P extends Procedure>(procedure: P, raw: unknown): InputOf<P> {
  try {
    return parseInput(procedure, raw);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw ApplicationFailure.nonRetryable(error.message, failureTypes.invalidInput);
  }
}
