/** Changes of a feature flag, as plans have them. */
import type { Change, Mandate } from '../../contract/plan.ts';

/** A flag as it stands: `percentage` of 100 is on for everybody. */
export type FlagState = Readonly<{ enabled: boolean; percentage: number }>;

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
  }>
> {
  kind: 'feature/reduce';
}

export type FlagChange = DisablingChange | ReductionChange;
export type FlagMandate = Mandate<FlagChange>;

export const off: FlagState = { enabled: false, percentage: 0 };

/** Whether nobody has the feature. */
export function isOff({ enabled, percentage }: FlagState): boolean {
  return !enabled || percentage === 0;
}

/** A state for people. */
export function stateInWords({ enabled, percentage }: FlagState): string {
  if (!enabled) return 'off';
  return percentage === 100 ? 'on for all' : `on at ${Number(percentage.toFixed(3))} %`;
}

/** A share in percent as a system has it in which `whole` is 100 %; nothing is lost where it is the same. */
export function inMeasure(whole: number, percentage: number): number {
  return whole === 100 ? percentage : (percentage * whole) / 100;
}

/** The shares of a reduction, in order. */
export function percentagesOf({ after }: ReductionChange): number[] {
  return after.percentages.split(',').map(Number);
}

export function isSame(one: FlagState, other: FlagState): boolean {
  return one.enabled === other.enabled && one.percentage === other.percentage;
}
