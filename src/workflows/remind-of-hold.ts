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
import { owners } from './run/proxies.ts';

/** While the cluster does not answer, nobody can tell that the hold is gone. */
const unknown: HoldLook = { isHeld: true, everyMs: 3_600_000 };

/**
 * Reminds people of an owner that a run has left held, again and again, until it is not: released by
 * a run, by hand, or gone.
 */
export async function remindOfHold(owner: Target): Promise<void> {
  let isAsked = false;
  setHandler(defineSignal(lookSignal), () => {
    isAsked = true;
  });
  for (let found = await answer(() => owners.lookAtHold(owner)); found.isHeld;) {
    await condition(() => isAsked, found.everyMs);
    found = await answer(() => (isAsked ? owners.lookAtHold(owner) : owners.remindOfHold(owner)));
    isAsked = false;
    if (found.isHeld && workflowInfo().continueAsNewSuggested) {
      return continueAsNew<typeof remindOfHold>(owner);
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
