/** What stands around every run whose targets belong to GitOps or progressive delivery. */
import {
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  startChild,
} from '@temporalio/workflow';
import type { OwnerChange } from '../../activities/owners/policy.ts';
import { type Plan, type Target, targetKey } from '../../contract/plan.ts';
import { releaseCommand } from '../../contract/release-command.ts';
import type { StepStatus } from '../../contract/run.ts';
import type { remindOfHold } from '../remind-of-hold.ts';
import { isOutcome } from './outcome.ts';
import { owners, regional } from './proxies.ts';
import { titleIn } from './regions.ts';
import type { Run } from './run.ts';

/** Makes a reminder look at once whether what it reminds of is still held. */
export const lookSignal = 'look';

/**
 * Holds the owners that the plan names, before anything that they own is changed. What they hold back
 * is let go only where the run goes back: after a rollback their source still has the bad version.
 */
export async function holdOwners(run: Run): Promise<void> {
  for (const { id, target } of heldBy(run.plan)) {
    const change = run.change<OwnerChange>(id);
    await run.step(titleOf(target), {
      isAside: true,
      async do() {
        const effect = await owners.hold(change);
        await startReminder(target);
        return effect;
      },
      async undo() {
        const effect = await owners.hold(change.inverse);
        await lookAtReminder(target);
        return effect;
      },
    });
  }
}

/** What the end of a run says about the owners that it leaves held. */
export function leftHeld(plan: Plan, steps: readonly StepStatus[]): string[] {
  return heldBy(plan).flatMap(({ target }) => {
    const own = titleIn(target.region, titleOf(target));
    const step = steps.findLast(({ title }) => title === own);
    if (step?.state !== 'done' && step?.state !== 'not-undone') return [];
    const { kind, namespace, name } = target;
    return [
      `${kind} ${namespace}/${name} is held since ${step.endedAt}: revert in its source, then ${releaseCommand(target)}`,
    ];
  });
}

/** Lets the reminder of an owner end at once where that is not held any more. */
export async function lookAtReminder(target: Target): Promise<void> {
  try {
    await getExternalWorkflowHandle(reminderId(target)).signal(lookSignal);
  } catch (error) {
    // There is none.
    if (!isOutcome(error)) throw error;
  }
}

async function startReminder(target: Target): Promise<void> {
  const { kind, namespace, name } = target;
  try {
    await startChild<typeof remindOfHold>('remindOfHold', {
      workflowId: reminderId(target),
      args: [target, regional.getStore()?.taskQueue],
      parentClosePolicy: 'ABANDON',
      cancellationType: ChildWorkflowCancellationType.ABANDON,
      staticSummary: `Reminds of ${kind} ${namespace}/${name}, which is held`,
      staticDetails: 'Ends by itself when it is released.',
    });
  } catch (error) {
    // There is one already. And that nobody is reminded must not fail a rollback.
    if (!isOutcome(error)) throw error;
  }
}

function heldBy({ changes }: Plan): Plan['changes'] {
  return changes.filter(({ kind }) => kind === 'owner/pause');
}

function titleOf({ kind, namespace, name }: Target): string {
  return `Pause ${kind} ${namespace}/${name}`;
}

function reminderId(target: Target): string {
  return `hold:${targetKey(target)}`;
}
