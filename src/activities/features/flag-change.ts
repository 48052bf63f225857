/** Changes of a feature flag, as plans have them. */
import type { Change, Mandate } from '../../contract/plan.ts';

/**
 * A flag as it stands: `percentage` of 100 is on for everybody, and null is on for those whom rules of
 * the system choose, which no share tells.
 */
export type FlagState = Readonly<{ enabled: boolean; percentage: number | null }>;

/** R14: off, whatever share had it. */
export interface DisablingChange extends Change<FlagState, FlagState> {
  kind: 'feature/disable';
}

/**
 * R15: down by shares, each watched for so long, as long as the error rate stays above the gate. One
 * change for all of them, so that whoever approves it sees every one that may be set.
 */
export interface ReductionChange extends Change<
  FlagState,
  Readonly<{
    enabled: true;
    percentage: number;
    /** With commas, going down; `percentage` is the last. */
    percentages: string;
    /** A duration such as `2m`. */
    watch: string;
    gate: number;
    /** Where whoever hurries it goes at once; plans of earlier versions go to their last share. */
    skipTo?: number;
    /** In place of those of the settings. */
    errorRateField?: string;
    errorRateQuery?: string;
  }>
> {
  kind: 'feature/reduce';
}

export type FlagChange = DisablingChange | ReductionChange;
export type FlagMandate = Mandate<FlagChange>;

export const off: FlagState = { enabled: false, percentage: 0 };

/** Whether nobody has the feature, though it may be enabled still. */
export function isForNobody({ enabled, percentage }: FlagState): boolean {
  return !enabled || percentage === 0;
}

/** Shares that differ by less are the same: systems round them, each in its own measure. */
const tolerance = 1e-6;

/** Whether at most this share has the feature, in percent. */
export function isAtMost({ enabled, percentage }: FlagState, share: number): boolean {
  return !enabled || (percentage !== null && percentage <= share + tolerance);
}

/** A state for people. */
export function stateInWords({ enabled, percentage }: FlagState): string {
  if (!enabled) return 'off';
  if (percentage === null) return 'on by its rules';
  return percentage === 100 ? 'on for all' : `on at ${Number(percentage.toFixed(3))} %`;
}

/** A share in percent as a system has it in which `whole` is 100 %. */
export function inMeasure(whole: number, percentage: number): number {
  return rounded((percentage * whole) / 100);
}

/** The other way round. */
export function inPercent(whole: number, share: number): number {
  return rounded((share * 100) / whole);
}

/** Without what floating point adds, so that a share is the same there and back. */
function rounded(number: number): number {
  return Number(number.toPrecision(12));
}

/** The shares of a reduction, in order. */
export function percentagesOf({ after }: ReductionChange): number[] {
  return after.percentages.split(',').map(Number);
}

/** Every share that a reduction may set, in order. */
export function allowedShares(change: ReductionChange): number[] {
  const { skipTo } = change.after;
  return [...new Set([...percentagesOf(change), ...(skipTo === undefined ? [] : [skipTo])])];
}

export function isSame(one: FlagState, other: FlagState): boolean {
  if (one.enabled !== other.enabled) return false;
  if (one.percentage === null || other.percentage === null) {
    return one.percentage === other.percentage;
  }
  return Math.abs(one.percentage - other.percentage) <= tolerance;
}
