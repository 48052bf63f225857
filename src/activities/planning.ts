import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../contract/failures.ts';
import { type InputOf, InvalidInputError, parseInput, type Procedure } from '../contract/input.ts';
import type { Plan, Planned } from '../contract/plan.ts';

/**
 * Makes the planning activity of a procedure: whatever the run was started with is validated before
 * anything is read. Here and not in workflow code, which is loaded anew for every run and would
 * carry the schemas each time.
 */
export function planning<P extends Procedure>(
  procedure: P,
  plan: (input: InputOf<P>) => Promise<Plan>,
): (input: unknown) => Promise<Planned<InputOf<P>>> {
  return async (raw) => {
    const input = validated(procedure, raw);
    return { input, plan: await plan(input) };
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
