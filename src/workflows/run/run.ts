/** What a procedure's steps work with. */
import type { Change, Effect, Mandate, Plan } from '../../contract/plan.ts';

/** What a step gives back: an effect with its words, words alone, or nothing. */
export type StepResult = Effect | string | void;

export interface Step {
  do: () => Promise<StepResult>;
  /** Whatever comes after rests on it, or it is the rollback itself: nobody can leave it out. */
  isNeeded?: boolean;
  /** Changes nothing that the plan is about, so that a plan that does not hold is made anew after it. */
  isAside?: boolean;
  /**
   * Takes the step back. It is registered before `do` starts, because a step that failed or timed
   * out may have had its effect all the same.
   */
  undo?: () => Promise<StepResult>;
  /** Why nothing can take the step back, where its effect is one that people must know to stand. */
  noWayBack?: string;
  /**
   * Asked before `undo` without a person: whether what the step left is measured to be healthier
   * than what it went to. Without it the step may be undone in any case.
   */
  undoOnlyIf?: () => Promise<{ beforeIsHealthier: boolean; nothingToUndo: boolean; text: string }>;
}

/** What closes a run that was cut short; `isEnd` tells whether it ends with it, or goes on some other way. */
export type ClosingAction = (isEnd: boolean) => Promise<StepResult>;

/** A mandate for a change, with the one that takes it back. */
export type ChangeMandate<C extends Change> = Mandate<C> & { inverse: Mandate<C> };

/** Who has cut a wait short, and whether the run is to end there. */
export interface CutShort {
  by: string;
  stays?: boolean;
}

/** What a failed step comes to: hold the run for a decision, or go back by itself where that is safe. */
export type OnFailure = 'pause' | 'compensate';

/** What a procedure's `steps` work with: a run, or the part of it that is in one region. */
export interface Run {
  readonly plan: Plan;
  /** Whether somebody has decided that all is to be taken back. */
  readonly isAborted: boolean;
  /** Mandate for the plan's change with this id, as activities that change something take it. */
  change<C extends Change>(id: string): ChangeMandate<C>;
  /** Mandates for the plan's changes with this name: its id, or what stands before the `/` of their ids. */
  changes<C extends Change>(name: string): ChangeMandate<C>[];
  /**
   * Takes a step, again and again where somebody says so; throws where the run is to go back or to
   * plan again.
   */
  step(title: string, step: Step): Promise<void>;
  /**
   * Takes independent steps side by side. Where one fails, the others go on to their end before that
   * is thrown.
   */
  together(branches: readonly (() => Promise<void>)[]): Promise<void>;
  /**
   * Waits as a step, by a durable timer, and pages nobody. Whoever may decide about steps may cut it
   * short (`skip`), also so that all is left as it stands (`stays`), or have all taken back (`abort`).
   * @returns who has cut it short; undefined where the time is over
   */
  wait(title: string, ms: number): Promise<CutShort | undefined>;
  /** Measures the effect with the plan's checks, once: steps that come after it rest on it. */
  verify(): Promise<void>;
  /** Whether nothing was left out so far. */
  readonly isWhole: boolean;
  /** Notes what the run itself leaves out, and why, in a sentence without its full stop. */
  leaveOpen(text: string): void;
  /** Registers what is done where the steps did not all end well, after compensation. */
  ifCutShort(title: string, action: ClosingAction): void;
}
