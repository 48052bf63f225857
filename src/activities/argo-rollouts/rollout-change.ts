/** The change of a Rollout that follows the Deployment which is rolled back. */
import type { Change, Mandate } from '../../contract/plan.ts';

/** Where a Rollout stands, by the template of the Deployment that it follows. */
export type RolloutReference = {
  /** SHA-256 of the Deployment's pod template. */
  template: string;
  /** Whether all pods are of that template and no steps are left. */
  promoted: boolean;
  aborted: boolean;
  paused: boolean;
};
export type RolloutChange = Change<RolloutReference, RolloutReference>;
export type RolloutMandate = Mandate<RolloutChange>;

export function rolloutEnds({ change, undo }: RolloutMandate): {
  from: RolloutReference;
  to: RolloutReference;
} {
  const { before, after } = change;
  return undo ? { from: after, to: before } : { from: before, to: after };
}
