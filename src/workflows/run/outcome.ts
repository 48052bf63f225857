/** From what went wrong to how the run ends. */
import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  TemporalFailure,
  TimeoutFailure,
} from '@temporalio/workflow';
import { type FailureType, failureTypes } from '../../contract/failures.ts';
import type { RunIdentity } from '../../contract/plan.ts';
import { type Outcome, outcomes, type RunResult } from '../../contract/run.ts';

/** The failure with a type that lies under whatever wraps it; undefined for anything else. */
export function typedCause(error: unknown): ApplicationFailure | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause as Error | undefined) {
    if (cause instanceof ApplicationFailure) return cause;
  }
  return undefined;
}

/** The words of the failing system, without those of what wraps it. */
export function messageOf(error: unknown): string {
  const cause = typedCause(error);
  if (cause) return cause.message;
  if (isCancellation(error)) return 'cancelled';
  if (isOverdue(error)) {
    return `No answer in time: ${error.activityType} was tried until its time was over, and what it asks does not answer, or no worker does. rollback doctor tells which.`;
  }
  if (error instanceof ActivityFailure && error.cause) return error.cause.message;
  return error instanceof Error ? error.message : String(error);
}

/** Which of its time limits an activity went over; undefined where it failed for another reason. */
export function timeoutOf(error: unknown): TimeoutFailure['timeoutType'] | undefined {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof TimeoutFailure)) {
    return undefined;
  }
  return error.cause.timeoutType;
}

/** Whether an activity was tried until its time was up, and no attempt of it has said why. */
function isOverdue(error: unknown): error is ActivityFailure {
  return timeoutOf(error) === 'SCHEDULE_TO_CLOSE';
}

/** Whether a change was turned away because the plan or its approvals do not hold any more. */
export function isPlanVoid(error: unknown): boolean {
  const type = typedCause(error)?.type;
  return type === failureTypes.planStale || type === failureTypes.notAuthorized;
}

/** How a run ends that fails before anything was changed. */
const beforeAnyChange: Partial<Record<FailureType, Outcome>> = {
  [failureTypes.invalidInput]: 'invalid',
  [failureTypes.unreachable]: 'unreachable',
  [failureTypes.targetBusy]: 'busy',
  [failureTypes.aborted]: 'aborted',
};

export function outcomeBeforeAnyChange(error: unknown): Outcome {
  if (isCancellation(error)) return 'aborted';
  if (isOverdue(error)) return 'unreachable';
  return beforeAnyChange[typedCause(error)?.type as FailureType] ?? 'refused';
}

/** Workflow id of the run that holds the target, where that is what went wrong. */
export function holderOf(error: unknown): string | undefined {
  const cause = typedCause(error);
  if (cause?.type !== failureTypes.targetBusy) return undefined;
  return (cause.details?.[0] as RunIdentity | undefined)?.workflowId;
}

/** A run that goes back because somebody said so. */
export function aborted(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.aborted);
}

/** A bug is no outcome: it must go on failing the workflow task until it is mended, losing nothing. */
export function isOutcome(error: unknown): boolean {
  return error instanceof TemporalFailure;
}

/** Ends the workflow as the outcome says: with the result, or failed with the result as detail. */
export function finish(result: RunResult): RunResult {
  const { failure } = outcomes[result.outcome];
  if (failure === null) return result;
  throw ApplicationFailure.nonRetryable(result.message, failure, result);
}
