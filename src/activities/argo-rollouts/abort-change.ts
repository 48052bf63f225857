/** The change of a Rollout whose canary is taken out by its own controller. */
import type { Change, Mandate } from '../../contract/plan.ts';

/** An update of a Rollout, with the destinations that are concerned, apart by spaces. */
export type UpdateReference = {
  canary: string;
  stable: string;
  /** Template hash of the version that is tried out. */
  podHash: string;
  aborted: boolean;
};

export interface AbortChange extends Change<UpdateReference, UpdateReference> {
  kind: typeof abortChangeKind;
}
export type AbortMandate = Mandate<AbortChange>;

export const abortChangeKind = 'argo-rollouts/abort';
