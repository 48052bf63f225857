import type { Change } from '../../contract/plan.ts';
import { releaseCommand } from '../../contract/release-command.ts';
import { suspendedInWords } from '../flagger/canary.ts';
import { inWords, targetOf } from '../kubernetes/objects.ts';
import { type Found, isOff } from './applying.ts';
import { holders, holdOf } from './held.ts';
import { policies } from './policies.ts';
import { asText, holdId, ownerChangeKinds, type OwnerState, valueOf } from './policy.ts';

/** What a plan does about an owner, and says about it. */
export interface Holding {
  words: string[];
  /** None where there is nothing to hold. */
  change?: Change;
}

/** The change that holds an owner, unless somebody has turned it off. */
export function holdingOf(found: Found): Holding {
  const { kind, object, cluster, through } = found;
  const policy = policies[kind];
  const target = targetOf(kind, cluster, object);
  const what = inWords(target);
  const value = valueOf(object, policy);
  if (isOff(found)) {
    // One that stands behind an owner is of interest only while it acts.
    if (through !== undefined) return { words: [] };
    const text = asText(value) ?? 'not set';
    return {
      words: [
        `${what} does not act by itself now (${policy.field} is ${text}), so it is left alone: revert in its source before somebody turns it on or syncs it.`,
      ],
    };
  }
  const hold = policy.isHeld(value) ? holdOf(object) : undefined;
  const before: OwnerState = { [policy.field]: asText(value), held: hold !== undefined };
  const after: OwnerState = {
    [policy.field]: hold ? asText(value) : asText(policy.held(value)),
    held: true,
    ...(through === undefined ? {} : { through }),
  };
  const when = hold ? `is paused already (${holders(hold)})` : 'is paused before the first step';
  const until =
    through === undefined
      ? `and stays so, since its source still has the version that is left: revert there, then ${releaseCommand(target)}.`
      : `and stays so as long as ${through}, which it would turn on again.`;
  return {
    words: [`${what} ${when}, ${until}`, ...(kind === 'canary' ? [suspendedInWords(object)] : [])],
    change: { id: holdId(target), kind: ownerChangeKinds.hold, target, before, after },
  };
}
