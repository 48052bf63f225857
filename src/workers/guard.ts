import { ApplicationFailure } from '@temporalio/common';
import type { Context } from '@temporalio/activity';
import type {
  ActivityExecuteInput,
  ActivityInboundCallsInterceptor,
  Next,
} from '@temporalio/worker';
import type { LockRequest } from '../activities/lock/index.ts';
import type { Locks } from '../activities/lock/locks.ts';
import type { Authority } from '../authority/authority.ts';
import { classOf, isGuarded } from '../contract/activities.ts';
import { hashOf, planDigest } from '../contract/digest.ts';
import { failureTypes } from '../contract/failures.ts';
import { targetKey, type Mandate, type PlannedCheck } from '../contract/plan.ts';

export interface GuardParts {
  authority: Authority;
  locks: Locks;
}

/**
 * Stands before every activity that changes something, just before its effect: the change must
 * belong to the plan that the mandate names, the mandate to the run that the activity runs for, the
 * plan must have been made by a worker and approved by whom the rules ask for, and the run must hold
 * the lock of the change's target.
 */
export class Guard implements ActivityInboundCallsInterceptor {
  private readonly context: Context;
  private readonly authority: Authority;
  private readonly locks: Locks;

  constructor(context: Context, { authority, locks }: GuardParts) {
    this.context = context;
    this.authority = authority;
    this.locks = locks;
  }

  async execute(
    input: ActivityExecuteInput,
    next: Next<ActivityInboundCallsInterceptor, 'execute'>,
  ): Promise<unknown> {
    const { activityType, workflowExecution } = this.context.info;
    const activityClass = classOf(activityType);
    if (!activityClass) throw notMandated(`Activity ${activityType} is not in the contract.`);
    if (isGuarded(activityClass)) {
      const mandate = input.args[0] as Mandate | undefined;
      if (!workflowExecution) throw notMandated('An activity that changes something has no run.');
      assertMandate(mandate, workflowExecution.workflowId);
      const check = activityClass === 'check' ? (input.args[1] as PlannedCheck) : undefined;
      await this.authority.authorize(workflowExecution, mandate, check);
      await this.locks.hold(mandate.change.target, mandate.run);
    }
    if (activityClass === 'lock' || activityClass === 'wait') {
      const { run } = (input.args[0] ?? {}) as Partial<LockRequest>;
      if (run?.workflowId !== workflowExecution?.workflowId) {
        throw notMandated('A run takes and frees locks for itself only.');
      }
    }
    return next(input);
  }
}

/** @throws NotMandated where change, plan and run do not belong together. */
export function assertMandate(
  mandate: Mandate | undefined,
  workflowId: string,
): asserts mandate is Mandate {
  const whole =
    mandate?.change?.target &&
    mandate.plan?.changeHashes &&
    mandate.run &&
    Array.isArray(mandate.authority?.approvals);
  if (!whole) {
    throw notMandated('An activity that changes something was called without a mandate.');
  }
  const { change, plan, run } = mandate;
  const name = `change ${change.id} of ${targetKey(change.target)}`;
  if (!plan.changeHashes.includes(hashOf(change))) {
    throw notMandated(
      `The ${name} is not in the plan that its mandate names: nothing was changed.`,
    );
  }
  if (planDigest(plan.targets, plan.changeHashes) !== plan.digest) {
    throw notMandated(`The plan of the ${name} does not have the digest that its mandate names.`);
  }
  if (!plan.targets.some((target) => hashOf(target) === hashOf(change.target))) {
    throw notMandated(`The ${name} is not about a target of its plan: nothing was changed.`);
  }
  if (run.workflowId !== workflowId) {
    throw notMandated(
      `The mandate for the ${name} is of run ${run.workflowId}, not of ${workflowId}.`,
    );
  }
}

function notMandated(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.notMandated);
}
