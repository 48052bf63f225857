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

/** The newest revision; where that is pending, with the one that `lastDeployed` has found below it. */
export type StandingReference = ReleaseReference & {
  deployed?: number;
  deployedRecord?: string;
  deployedContent?: string;
};

export type ReleaseChange = Change<StandingReference, ReleaseReference>;
export type ReleaseMandate = Mandate<ReleaseChange>;

/**
 * What a rollback leaves and an undo puts back: the newest revision, or the deployed one below it where
 * the newest is pending and nobody knows how much of it was applied.
 */
export function leftOf(
  before: StandingReference,
): Pick<ReleaseReference, 'revision' | 'record' | 'content'> {
  const { deployed: revision, deployedRecord: record, deployedContent: content } = before;
  // Plans of earlier versions name none.
  if (revision === undefined || record === undefined || content === undefined) return before;
  return { revision, record, content };
}

/** Where a mandate comes from and goes to: the other way round for an undo. */
export function ends({ change: { before, after }, undo }: ReleaseMandate): {
  from: ReleaseReference;
  to: Pick<ReleaseReference, 'revision' | 'record' | 'content'>;
} {
  return undo ? { from: after, to: leftOf(before) } : { from: before, to: after };
}
