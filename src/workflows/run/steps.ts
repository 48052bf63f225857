/** The steps of one run: done in order, held where they fail, undone in reverse. */
import {
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  patched,
} from '@temporalio/workflow';
import { stepDecisionNames } from '../../contract/decision.ts';
import { failureTypes } from '../../contract/failures.ts';
import type {
  Authorization,
  Change,
  Effect,
  Mandate,
  Plan,
  PlannedCheck,
} from '../../contract/plan.ts';
import type { StepStatus } from '../../contract/run.ts';
import { hold, type HoldSettings } from './hold.ts';
import type { Decisions } from './decisions.ts';
import { isOutcome, isPlanVoid, messageOf, typedCause } from './outcome.ts';
import { undoDecisions } from './pauses.ts';
import { stepTitle, verification } from './proxies.ts';
import type { StatusBoard } from './status.ts';

/** What a step gives back: an effect with its words, words alone, or nothing. */
type StepResult = Effect | string | void;

export interface Step {
  do: () => Promise<StepResult>;
  /**
   * Takes the step back. It is registered before `do` starts, because a step that failed or timed
   * out may have had its effect all the same.
   */
  undo?: () => Promise<StepResult>;
  /**
   * Asked before `undo` without a person: whether what the step left is measured to be healthier
   * than what it went to. Without it the step may be undone in any case.
   */
  undoOnlyIf?: () => Promise<{ beforeIsHealthier: boolean; nothingToUndo: boolean; text: string }>;
}

interface Registered {
  status: StepStatus;
  undo: NonNullable<Step['undo']>;
  undoOnlyIf: Step['undoOnlyIf'];
}

/** A mandate for a change, with the one that takes it back. */
export type ChangeMandate<C extends Change> = Mandate<C> & { inverse: Mandate<C> };

/** What a failed step comes to: hold the run for a decision, or go back by itself where that is safe. */
export type OnFailure = 'pause' | 'compensate';

/** What a procedure's `steps` work with: a run, or the part of it that is in one region. */
export interface Run {
  readonly plan: Plan;
  /** Whether somebody has decided that all is to be taken back. */
  readonly isAborted: boolean;
  /** Mandate for the plan's change with this id, as activities that change something take it. */
  change<C extends Change>(id: string): ChangeMandate<C>;
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
  /** Measures the effect with the plan's checks, once: steps that come after it rest on it. */
  verify(): Promise<void>;
  /** Registers what is done at the end of a run whose steps did not all end well, after compensation. */
  ifCutShort(title: string, action: Step['do']): void;
}

/** The steps of one run. */
export class WholeRun implements Run {
  readonly plan: Plan;
  /** Whether any step has changed something. */
  changedAnything = false;
  private readonly board: StatusBoard;
  private readonly decisions: Decisions;
  private readonly onFailure: OnFailure;
  private readonly holding: HoldSettings;
  /** One object for all mandates, so that those made earlier have an abort that comes later. */
  private readonly authority: Authorization;
  private readonly compensations: Registered[] = [];
  /** Checks that were green, or that somebody left out. */
  private readonly verified = new Set<PlannedCheck>();
  private readonly closing: { title: string; do: Step['do'] }[] = [];

  constructor(
    plan: Plan,
    decisions: Decisions,
    board: StatusBoard,
    { onFailure, holding }: { onFailure: OnFailure; holding: HoldSettings },
  ) {
    this.plan = plan;
    this.decisions = decisions;
    this.authority = decisions.authorization;
    this.board = board;
    this.onFailure = onFailure;
    this.holding = holding;
  }

  change<C extends Change>(id: string): ChangeMandate<C> {
    const change = this.plan.changes.find((candidate) => candidate.id === id);
    if (!change) throw new Error(`The plan has no change ${id}.`);
    const { targets, changeHashes, digest } = this.plan;
    const mandate = (undo: boolean): Mandate<C> => ({
      change: change as C,
      undo,
      plan: { targets, changeHashes, digest },
      run: this.decisions.identity,
      authority: this.authority,
    });
    return { ...mandate(false), inverse: mandate(true) };
  }

  get isAborted(): boolean {
    return this.authority.abort !== undefined;
  }

  async step(title: string, step: Step): Promise<void> {
    // Of several that go on side by side, one may have been aborted.
    if (this.isAborted) throw aborted(`The run was aborted before step "${title}".`);
    if (this.verified.size > 0 && this.board.status.phase === 'verifying') {
      this.board.enter('executing', title);
    }
    const status = this.board.addStep(title);
    const { undo, undoOnlyIf } = step;
    if (undo) this.compensations.unshift({ status, undo, undoOnlyIf });
    for (;;) {
      try {
        return await this.attempt(status, step.do);
      } catch (error) {
        if (!(await this.isHeld(error))) throw error;
        // Somebody else's work stands there now, which must not wait in a state that is this run's.
        if (typedCause(error)?.type === failureTypes.planStale) await this.tryToCutShort();
      }
      const { decision, by, note, token = '' } = await this.hold(status, status.title);
      if (decision === 'skip') return this.leaveOut(status, by, note);
      if (decision === 'abort') {
        this.authority.abort = { token, step: status.title, attempt: status.attempt };
        throw aborted(`${by} aborted at step "${title}": ${status.error}`);
      }
      this.board.tryAgain(status);
    }
  }

  async together(branches: readonly (() => Promise<void>)[]): Promise<void> {
    const ended = await Promise.allSettled(branches.map((branch) => branch()));
    const failed = ended.find((branch) => branch.status === 'rejected');
    if (failed) throw failed.reason;
  }

  verify(): Promise<void> {
    return this.runChecks(this.plan.checks);
  }

  /** Runs those of the plan's checks that have not run yet; `take` takes each as a step. */
  async runChecks(checks: readonly PlannedCheck[], take: Pick<Run, 'step'> = this): Promise<void> {
    const rest = checks.filter((check) => !this.verified.has(check));
    if (rest.length === 0) return;
    this.board.enter('verifying', 'Verifying by measuring.');
    const services = new Set(rest.map(({ service }) => service));
    await this.together(
      rest.map((check) => {
        const of = services.size > 1 ? ` of ${check.service}` : '';
        const mandate = this.change(check.change ?? this.plan.changes[0]?.id ?? '');
        const measure = () => verification.runCheck(mandate, check);
        return () => take.step(`Check ${check.check}${of}`, { do: measure });
      }),
    );
    for (const check of rest) this.verified.add(check);
  }

  ifCutShort(title: string, action: Step['do']): void {
    this.closing.push({ title, do: action });
  }

  /**
   * Does what `ifCutShort` registered, shielded from cancellation.
   * @param holds whether a failure is held for a decision, or thrown
   * @returns what was left out, in words
   */
  async cutShort(holds: boolean): Promise<string[]> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      while (this.closing.length > 0) {
        const { title, do: action } = this.closing[0] as (typeof this.closing)[number];
        const status = this.board.addStep(title);
        if (holds) await this.seeThrough(status, title, () => this.attempt(status, action), left);
        else await this.attempt(status, action);
        this.closing.shift();
      }
      return left;
    });
  }

  /** As `cutShort`; what fails is tried again at the end of the run. */
  private async tryToCutShort(): Promise<void> {
    try {
      await this.cutShort(false);
    } catch (error) {
      if (!isOutcome(error)) throw error;
    }
  }

  /**
   * Undoes the steps in reverse order, shielded from cancellation. Stops at the first one that
   * must not or cannot be undone, since the ones before it may rest on it.
   * @returns what could not be undone and why; empty where all was.
   */
  async compensate(): Promise<string[]> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      for (const { status, undo, undoOnlyIf } of this.compensations) {
        const { kept, nothing } =
          left.length > 0 ? { kept: 'a later step still stands' } : await this.mayUndo(undoOnlyIf);
        if (nothing !== undefined) {
          Object.assign(status, { state: 'undone', text: nothing });
          continue;
        }
        if (kept !== undefined) {
          status.state = 'not-undone';
          left.push(`${status.title}: ${kept}`);
          continue;
        }
        const title = `Undo: ${status.title}`;
        status.attempt = 1;
        await this.seeThrough(status, title, () => this.takeBack(status, title, undo), left);
      }
      this.board.show();
      return left;
    });
  }

  /** Tries what must not be left half-done until it is done or somebody gives it up. */
  private async seeThrough(
    status: StepStatus,
    title: string,
    action: () => Promise<void>,
    left: string[],
  ): Promise<void> {
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!isOutcome(error)) throw error;
        status.error = messageOf(error);
        // What somebody else has put there since is theirs, and trying again takes nothing of it back.
        if (typedCause(error)?.type !== failureTypes.planStale && !handsBackItself(error)) {
          const { decision, by } = await this.hold(status, title, undoDecisions);
          if (decision === 'retry') {
            this.board.tryAgain(status);
            continue;
          }
          status.error = `given up by ${by}: ${status.error}`;
        }
        status.state = 'not-undone';
        left.push(`${title}: ${status.error}`);
        return;
      }
    }
  }

  private async takeBack(
    status: StepStatus,
    title: string,
    undo: Registered['undo'],
  ): Promise<void> {
    status.state = 'undoing';
    this.board.show();
    status.text = wordsOf(await stepTitle.run(title, undo));
    status.state = 'undone';
  }

  private async attempt(status: StepStatus, action: Step['do']): Promise<void> {
    try {
      const result = await stepTitle.run(status.title, action);
      if (typeof result === 'object' && result.changed) this.changedAnything = true;
      status.text = wordsOf(result);
      status.state = 'done';
    } catch (error) {
      status.error = messageOf(error);
      status.state = 'failed';
      throw error;
    } finally {
      status.endedAt = new Date().toISOString();
      this.board.show();
    }
  }

  /**
   * Whether a step that failed so waits for a decision. Before anything was changed, a plan that does
   * not hold is made anew instead; and a run that may go back by itself does so where that is safe.
   */
  private async isHeld(error: unknown): Promise<boolean> {
    if (!isOutcome(error) || isCancellation(error) || this.isAborted) return false;
    if (!this.changedAnything && isPlanVoid(error)) return false;
    if (this.onFailure === 'pause') return true;
    for (const { undoOnlyIf } of this.compensations) {
      if ((await this.mayUndo(undoOnlyIf)).kept !== undefined) return true;
    }
    return false;
  }

  private async hold(
    status: StepStatus,
    step: string,
    allowed: typeof stepDecisionNames | typeof undoDecisions = stepDecisionNames,
  ) {
    status.state = 'paused';
    const { attempt, error = '' } = status;
    const answer = await hold(
      { step, attempt, allowed: [...allowed], error },
      {
        ...{ plan: this.plan, decisions: this.decisions, board: this.board },
        ...{
          settings: this.holding,
          isOver: () => this.isAborted && allowed === stepDecisionNames,
        },
      },
    );
    status.state = 'failed';
    if (answer) return answer;
    throw aborted(`The run was aborted while step "${step}" was paused.`);
  }

  private leaveOut(status: StepStatus, by: string, note: string | undefined): void {
    status.state = 'skipped';
    const words = [`${status.title} was left out by ${by}`, note].filter(Boolean).join(': ');
    this.board.addGap(`${words} (${status.error}).`);
  }

  /** Whether a step may be undone: why it is kept, or why there is nothing to undo. */
  private async mayUndo(
    undoOnlyIf: Step['undoOnlyIf'],
  ): Promise<{ kept?: string; nothing?: string }> {
    if (!undoOnlyIf) return {};
    try {
      const { beforeIsHealthier, nothingToUndo, text } = await undoOnlyIf();
      if (nothingToUndo) return { nothing: text };
      if (beforeIsHealthier || this.isAborted) return {};
      return { kept: `the version that was left is not healthier (${text})` };
    } catch (error) {
      if (this.isAborted) return {};
      const why = messageOf(error);
      return { kept: `it cannot be told whether the version that was left is healthier (${why})` };
    }
  }
}

/** Whether another run has taken the target over from one that was ended: it hands it back itself. */
function handsBackItself(error: unknown): boolean {
  return typedCause(error)?.type === failureTypes.targetBusy && patched('taken-over');
}

function aborted(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.aborted);
}

function wordsOf(result: StepResult): string | undefined {
  return typeof result === 'object' ? result.text : (result ?? undefined);
}
