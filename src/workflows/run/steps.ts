/** The steps of one run: done in order or side by side, held where they fail. */
import { isCancellation, patched } from '@temporalio/workflow';
import { stepDecisionNames } from '../../contract/decision.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Authorization, Change, Mandate, Plan, PlannedCheck } from '../../contract/plan.ts';
import type { StepStatus } from '../../contract/run.ts';
import { Attempts } from './attempts.ts';
import { Compensation } from './compensation.ts';
import type { Decisions } from './decisions.ts';
import type { HoldSettings } from './hold.ts';
import { aborted, isOutcome, isPlanVoid, typedCause } from './outcome.ts';
import { neededStepDecisions } from './pauses.ts';
import { verification } from './proxies.ts';
import type { ChangeMandate, ClosingAction, CutShort, OnFailure, Run, Step } from './run.ts';
import type { StatusBoard } from './status.ts';

/** The steps of one run. */
export class WholeRun implements Run {
  readonly plan: Plan;
  readonly compensation: Compensation;
  private readonly attempts: Attempts;
  private readonly board: StatusBoard;
  private readonly decisions: Decisions;
  private readonly onFailure: OnFailure;
  /** One object for all mandates, so that those made earlier have an abort that comes later. */
  private readonly authority: Authorization;
  /** Checks that were green, or that somebody left out. */
  private readonly verified = new Set<PlannedCheck>();

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
    const isAborted = () => this.isAborted;
    this.attempts = new Attempts(plan, decisions, board, { holding, isAborted });
    this.compensation = new Compensation(this.attempts, board, isAborted);
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

  changes<C extends Change>(name: string): ChangeMandate<C>[] {
    const found = this.plan.changes.filter(({ id }) => id.split('/')[0] === name);
    return found.map(({ id }) => this.change<C>(id));
  }

  /** Whether any step has changed something. */
  get changedAnything(): boolean {
    return this.attempts.changedAnything;
  }

  get isAborted(): boolean {
    return this.authority.abort !== undefined || this.decisions.stop.answer !== undefined;
  }

  /** Does `work`, which ends where somebody stops the run: what is taken back then has their signature. */
  async unlessStopped(work: () => Promise<void>): Promise<void> {
    const { stop } = this.decisions;
    try {
      await stop.unlessStopped(work);
    } finally {
      if (stop.answer) this.authority.abort = { token: stop.answer.token };
    }
  }

  async step(title: string, step: Step): Promise<void> {
    const status = this.begin(title);
    this.compensation.register(status, step);
    for (;;) {
      try {
        return await this.attempts.attempt(status, step.do, step.isAside);
      } catch (error) {
        if (!(await this.isHeld(error))) throw error;
        // Somebody else's work stands there now, which must not wait in a state that is this run's.
        if (typedCause(error)?.type === failureTypes.planStale)
          await this.compensation.tryToCutShort();
      }
      const isNeeded = step.isNeeded === true && patched('needed-steps');
      const {
        decision,
        by,
        note,
        token = '',
      } = await this.attempts.hold(
        status,
        status.title,
        isNeeded ? neededStepDecisions : stepDecisionNames,
      );
      if (decision === 'skip') return this.leaveOut(status, by, note);
      if (decision === 'abort') {
        this.authority.abort = { token, step: status.title, attempt: status.attempt };
        throw aborted(`${by} aborted at step "${title}": ${status.error}`);
      }
      this.board.tryAgain(status);
    }
  }

  async wait(title: string, ms: number): Promise<CutShort | undefined> {
    const status = this.begin(title);
    const answer = await this.attempts.wait(status, ms);
    if (answer?.decision !== 'abort') return answer;
    this.authority.abort = { token: answer.token ?? '', step: title, attempt: status.attempt };
    throw aborted(`${answer.by} aborted at step "${title}".`);
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

  get isWhole(): boolean {
    return this.board.status.gaps.length === 0;
  }

  leaveOpen(text: string): void {
    this.board.addGap(`${text}.`);
  }

  ifCutShort(title: string, action: ClosingAction): void {
    this.compensation.ifCutShort({ title, do: action });
  }

  /**
   * Whether a step that failed so waits for a decision. Before anything was changed, a plan that does
   * not hold is made anew instead; and a run that may go back by itself does so where that is safe.
   */
  private async isHeld(error: unknown): Promise<boolean> {
    if (!isOutcome(error) || isCancellation(error) || this.isAborted) return false;
    if (!this.changedAnything && isPlanVoid(error)) return false;
    if (this.onFailure === 'pause') return true;
    return this.compensation.needsAPerson();
  }

  private begin(title: string): StepStatus {
    // Of several that go on side by side, one may have been aborted.
    if (this.isAborted) throw aborted(`The run was aborted before step "${title}".`);
    if (this.verified.size > 0 && this.board.status.phase === 'verifying') {
      this.board.enter('executing', title);
    }
    return this.board.addStep(title);
  }

  private leaveOut(status: StepStatus, by: string, note: string | undefined): void {
    status.state = 'skipped';
    const words = [`${status.title} was left out by ${by}`, note].filter(Boolean).join(': ');
    this.board.addGap(`${words} (${status.error}).`);
  }
}
