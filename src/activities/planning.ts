import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Authority } from '../authority/authority.ts';
import type { LoadedSettings } from '../config/settings.ts';
import { failureTypes } from '../contract/failures.ts';
import { type InputOf, InvalidInputError, parseInput, type Procedure } from '../contract/input.ts';
import type { Planned } from '../contract/plan.ts';
import type { Clusters } from './kubernetes/api.ts';
import { planIn, plannerOf } from './planners.ts';

/** What planning activities work with. */
export interface PlanningParts {
  authority: Authority;
  clusters: Clusters;
  settings: LoadedSettings;
}

/**
 * Makes the planning activity of a procedure: whatever the run was started with is validated before
 * anything is read, and the plan is sealed. Here and not in workflow code, which is loaded anew for
 * every run and would carry the schemas each time. `earlier` is the digest of the plan that this one
 * replaces, `region` the one to plan for where the run is for several.
 */
export function planning<P extends Procedure>(
  { authority, clusters, settings }: PlanningParts,
  procedure: P,
): (input: unknown, earlier?: string, region?: string) => Promise<Planned<InputOf<P>>> {
  return async (raw, earlier, region) => {
    const input = validated(procedure, raw);
    const { workflowExecution } = Context.current().info;
    if (!workflowExecution) throw new Error('Planning is for workflows.');
    const plan = await planIn(region, plannerOf(procedure), clusters, settings, input);
    const toSeal = { rawInput: raw, input, plan, earlier };
    return { input, ...(await authority.seal(workflowExecution, toSeal)) };
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
