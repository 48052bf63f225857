import type { Authority } from '../../authority/authority.ts';
import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import { releaseCommand } from '../../contract/release-command.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { inWords, type KubernetesObject, objectPath } from '../kubernetes/objects.ts';
import { type Hold, holdOf } from './held.ts';
import { policyOf } from './policies.ts';
import { valueOf } from './policy.ts';
import { reasonInWords } from './reason-in-words.ts';

/** Whether an owner is held, and when to look at it again. */
export interface HoldLook {
  isHeld: boolean;
  /** Milliseconds between two reminders. */
  everyMs: number;
}

/**
 * Looks whether a run still holds the owner. One that is gone, or that somebody has turned on by
 * hand, is not held.
 */
export async function lookAtHold(
  clusters: Clusters,
  { owners }: Settings,
  owner: Target,
): Promise<HoldLook> {
  const hold = await standingHold(clusters, owner);
  return { isHeld: hold !== undefined, everyMs: owners.remindEvery };
}

/** As `lookAtHold`, and tells the first contact where it is held, in words from what is noted there. */
export async function remindOfHold(
  clusters: Clusters,
  { owners }: Settings,
  authority: Authority,
  owner: Target,
): Promise<HoldLook> {
  const hold = await standingHold(clusters, owner);
  if (hold) {
    const why = hold.reasons.map(reasonInWords).join('; ');
    await authority.tellContact(
      hold.reasons[0]?.workflowId ?? '',
      `${inWords(owner)} is still held ${why}. Nothing from its source gets there meanwhile: revert there, then ${releaseCommand(owner)}`,
    );
  }
  return { isHeld: hold !== undefined, everyMs: owners.remindEvery };
}

async function standingHold(clusters: Clusters, owner: Target): Promise<Hold | undefined> {
  const { kind, context, namespace, name, uid } = owner;
  const object = await clusters
    .of(context)
    .find<KubernetesObject>(objectPath(kind, namespace, name));
  const policy = policyOf(kind);
  if (!policy || object?.metadata?.uid !== uid || !policy.isHeld(valueOf(object, policy))) {
    return undefined;
  }
  return holdOf(object);
}
