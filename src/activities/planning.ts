import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Authority } from '../authority/authority.ts';
import { failureTypes } from '../contract/failures.ts';
import { type InputOf, InvalidInputError, parseInput, type Procedure } from '../contract/input.ts';
import type { Plan, Planned } from '../contract/plan.ts';

/**
 * Makes the planning activity of a procedure: whatever the run was started with is validated before
 * anything is read, and the plan is sealed. Here and not in workflow code, which is loaded anew for
 * every run and would carry the schemas each time.
 */
export function planning<P extends Procedure>(
  authority: Authority,
  procedure: P,
  plan: (input: InputOf<P>) => Promise<Plan>,
): (input: unknown, earlier?: string) => Promise<Planned<InputOf<P>>> {
  return async (raw, earlier) => {
    const input = validated(procedure, raw);
    const { workflowExecution } = Context.current().info;
    if (!workflowExecution) throw new Error('Planning is for workflows.');
    const toSeal = { rawInput: raw, input, plan: await plan(input), earlier };
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
