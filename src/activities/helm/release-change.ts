/** The change of a Helm rollback, and how it reads from either end. */
import type { Change, Mandate } from '../../contract/plan.ts';

/** A revision by reference. */
export type ReleaseReference = {
  revision: number;
  /** UID of the Secret that keeps it. */
  record: string;
  /** SHA-256 of chart, values, manifest and hooks. */
  content: string;
  status: string;
};

export type ReleaseChange = Change<ReleaseReference, ReleaseReference>;
export type ReleaseMandate = Mandate<ReleaseChange>;

/** Where a mandate comes from and goes to: the other way round for an undo. */
export function ends({ change: { before, after }, undo }: ReleaseMandate): {
  from: ReleaseReference;
  to: ReleaseReference;
} {
  return undo ? { from: after, to: before } : { from: before, to: after };
}
