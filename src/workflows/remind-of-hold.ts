import {
  condition,
  continueAsNew,
  defineSignal,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { HoldLook } from '../activities/owners/remind-of-hold.ts';
import type { Target } from '../contract/plan.ts';
import { isOutcome } from './run/outcome.ts';
import { lookSignal } from './run/owners.ts';
import { owners, regional } from './run/proxies.ts';

/** While the cluster does not answer, nobody can tell that the hold is gone. */
const unknown: HoldLook = { isHeld: true, everyMs: 3_600_000 };

/**
 * Reminds people of an owner that a run has left held, again and again, until it is not: released by
 * a run, by hand, or gone.
 * @param taskQueue of the workers that reach it, where it is not this workflow's own
 */
export async function remindOfHold(owner: Target, taskQueue?: string): Promise<void> {
  let isAsked = false;
  setHandler(defineSignal(lookSignal), () => {
    isAsked = true;
  });
  const there = (look: () => Promise<HoldLook>) =>
    regional.run(taskQueue === undefined ? {} : { taskQueue }, () => answer(look));
  for (let found = await there(() => owners.lookAtHold(owner)); found.isHeld;) {
    await condition(() => isAsked, found.everyMs);
    const look = isAsked ? owners.lookAtHold : owners.remindOfHold;
    isAsked = false;
    found = await there(() => look(owner));
    if (found.isHeld && workflowInfo().continueAsNewSuggested) {
      return continueAsNew<typeof remindOfHold>(owner, taskQueue);
    }
  }
}

async function answer(look: () => Promise<HoldLook>): Promise<HoldLook> {
  try {
    return await look();
  } catch (error) {
    if (!isOutcome(error)) throw error;
    return unknown;
  }
}
