import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Change, DraftPlan, Plan, Target } from './plan.ts';

/** SHA-256 in hex over the RFC 8785 canonical JSON of `value`. */
export function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(canonicalize(value) ?? '')
    .digest('hex');
}

/**
 * Digest of a plan from its targets and the hashes of its changes: whoever has one change and the
 * list of hashes can check that the change belongs to the plan.
 */
export function planDigest(targets: readonly Target[], changeHashes: readonly string[]): string {
  return hashOf({ targets: targets.map(hashOf).sort(), changes: changeHashes });
}

/** Adds hashes and digest to a drafted plan; whose approval it needs is for the rules to add. */
export function digestPlan(draft: DraftPlan): Plan {
  const changeHashes = draft.changes.map((change: Change) => hashOf(change));
  return { ...draft, changeHashes, digest: planDigest(draft.targets, changeHashes), needs: [] };
}
