import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { inWords } from '../kubernetes/objects.ts';
import { holders, type Hold, noteOperations, type Reason } from './held.ts';
import { letGo, patchOwner, reasonOf, type Seen, type Step } from './hold-owner.ts';
import { asText, type OwnerMandate, setValue } from './policy.ts';

/**
 * Lets an owner act by itself again: what was there before the first run held it is put back, from the
 * note on its own object. What somebody has changed by hand meanwhile stays. With an undo it is held
 * again, for this run.
 * @throws PlanStale where another run has come to need it since the plan was made.
 */
export async function releaseOwner(clusters: Clusters, mandate: OwnerMandate): Promise<Effect> {
  const { change, undo } = mandate;
  return patchOwner(clusters, mandate, (seen) => {
    if (undo) return holdAgain(mandate, seen);
    const { hold } = seen;
    if (hold && holders(hold) !== change.before.holders) {
      throw stale(
        `${inWords(change.target)} is held for other runs than when the plan was made (${holders(hold)}): look at them, and start again if it is still to be released.`,
      );
    }
    return letGo(change.target, seen, isOver(mandate));
  });
}

/** Of one that is held on another's account, only what that one needed is over. */
function isOver({ change }: OwnerMandate): (reason: Reason) => boolean {
  const { through } = change.after;
  return (reason) => through === undefined || reason.through === through;
}

function holdAgain(mandate: OwnerMandate, { object, policy, value, hold }: Seen): Step {
  const { change } = mandate;
  const what = inWords(change.target);
  if (hold && policy.isHeld(value)) {
    return { done: { changed: false, text: `${what} is held.` } };
  }
  if (asText(value) !== change.after[policy.field]) {
    const text = `Somebody has changed ${policy.field} of ${what} meanwhile, and that stays as it is.`;
    return { done: { changed: false, text } };
  }
  const again: Hold = {
    ...(value === undefined ? {} : { was: value }),
    reasons: [reasonOf(mandate)],
  };
  return {
    operations: [...noteOperations(object, again), ...setValue(object, policy, policy.held(value))],
    text: `${what} is paused again.`,
  };
}
