/** What a run tells the outside: its phases, outcomes, status and result, the same for every procedure. */
import type { AuthorityStatus } from './authority.ts';
import type { StepDecisionName } from './decision.ts';
import type { Plan, Planned } from './plan.ts';

/** Task queue of every workflow and activity but the guards' long ones. */
export const taskQueue = 'rollback';

/** What to do where no worker of a region answers; part of every such message. */
export function startWorkerOf(region: string): string {
  return `start one with npm run worker and worker.region: ${region} in its settings`;
}

/** Query for the plan as a worker sealed it, for those who decide about it. */
export const sealedPlanQuery = 'sealedPlan';
export type SealedPlan = Pick<Planned<unknown>, 'plan' | 'seal'>;

/** Memo field with the signature of whoever started the run. */
export const startMemo = 'rollbackStart';

/** `requestedBy` when nobody said. */
export const unknownRequester = 'unknown';

export const phases = [
  'planning',
  'awaiting-approval',
  'executing',
  'paused',
  'verifying',
  'compensating',
  'done',
] as const;
export type Phase = (typeof phases)[number];

/**
 * How each outcome ends the workflow (`failure: null` completes it) and the CLI (`exitCode`).
 * `failure` is the `type` of the ApplicationFailure whose first detail is the RunResult.
 */
export const outcomes = {
  'rolled-back': { failure: null, exitCode: 0 },
  'no-op': { failure: null, exitCode: 0 },
  'dry-run': { failure: null, exitCode: 0 },
  compensated: { failure: 'Compensated', exitCode: 1 },
  aborted: { failure: 'Aborted', exitCode: 1 },
  failed: { failure: 'RollbackFailed', exitCode: 1 },
  invalid: { failure: 'InvalidInput', exitCode: 2 },
  refused: { failure: 'Refused', exitCode: 2 },
  rejected: { failure: 'Rejected', exitCode: 3 },
  expired: { failure: 'Expired', exitCode: 3 },
  busy: { failure: 'TargetBusy', exitCode: 4 },
  unreachable: { failure: 'Unreachable', exitCode: 5 },
} as const;
export type Outcome = keyof typeof outcomes;

export type StepState =
  | 'running'
  | 'done'
  | 'failed'
  /** Failed, and waits for a decision. */
  | 'paused'
  /** Left out because somebody said so. */
  | 'skipped'
  | 'undoing'
  | 'undone'
  | 'not-undone';

/** One step of a run. Times are ISO 8601; `text` is what the step found or did, in words. */
export interface StepStatus {
  title: string;
  state: StepState;
  /** 1 the first time; each `retry` adds one. */
  attempt: number;
  startedAt: string;
  endedAt?: string;
  text?: string;
  error?: string;
}

/** A step that waits for a decision or a time, and takes one, which names `step` and `attempt`. */
export interface PausedStep {
  step: string;
  attempt: number;
  allowed: StepDecisionName[];
  /** Why it waits. */
  error: string;
  /** ISO time at which it goes on by itself; one that holds until somebody decides has none. */
  until?: string;
  /** Whether a skip may also end the run there, with all left as it stands (`--stay`). */
  mayStay?: boolean;
}

/** Answer of the query `status`. */
export interface RunStatus {
  workflowId: string;
  runId: string;
  procedure: string;
  phase: Phase;
  startedAt: string;
  endedAt?: string;
  requestedBy?: string;
  reason?: string;
  plan?: Plan;
  /** Who started it, whose approval it needs and has; once it is planned. */
  authority?: AuthorityStatus;
  /** Why the first plan did not hold, where it was made anew. */
  plannedAgain?: string;
  steps: StepStatus[];
  outcome?: Outcome;
  /** One sentence: what the run does now, or how it ended. */
  message: string;
  /** Workflow id of the run that holds the target, where this one ended as busy. */
  heldBy?: string;
  /** What to do next, each a sentence or a command; filled when the run has ended. */
  next: string[];
  /** Seconds from the first step's start to the end; excludes planning. */
  seconds?: number;
  /** Where a decision counts, since the run waits; empty where it does not. */
  pausedAt: PausedStep[];
  /** What somebody decided to leave out, each a sentence; empty where the run is whole. */
  gaps: string[];
}

/** What a run ends with: the workflow's result, or the first detail of its failure. */
export interface RunResult extends RunStatus {
  phase: 'done';
  outcome: Outcome;
  endedAt: string;
}
