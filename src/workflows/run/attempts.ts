/** One action of a run: attempted, shown, and held for a decision where it fails. */
import { CancellationScope } from '@temporalio/workflow';
import type { StepDecisionName } from '../../contract/decision.ts';
import type { Plan } from '../../contract/plan.ts';
import type { StepStatus } from '../../contract/run.ts';
import type { Decisions } from './decisions.ts';
import { hold, type HoldSettings, waitUnlessDecided } from './hold.ts';
import { aborted, messageOf, typedCause } from './outcome.ts';
import { type StepAnswer, undoDecisions } from './pauses.ts';
import { stepTitle } from './proxies.ts';
import type { Step, StepResult } from './run.ts';
import type { StatusBoard } from './status.ts';

export class Attempts {
  /** Whether any step has changed something. */
  changedAnything = false;
  /** Steps that have changed something, and those that ended without a word of how far they came. */
  readonly effects = new Map<StepStatus, 'changed' | 'cut short'>();
  private readonly plan: Plan;
  private readonly decisions: Decisions;
  private readonly board: StatusBoard;
  private readonly holding: HoldSettings;
  private readonly isAborted: () => boolean;

  constructor(
    plan: Plan,
    decisions: Decisions,
    board: StatusBoard,
    { holding, isAborted }: { holding: HoldSettings; isAborted: () => boolean },
  ) {
    this.plan = plan;
    this.decisions = decisions;
    this.board = board;
    this.holding = holding;
    this.isAborted = isAborted;
  }

  /** Does what a step is to do, once; throws what it threw. */
  async attempt(status: StepStatus, action: Step['do'], isAside = false): Promise<void> {
    const isOver = CancellationScope.current().consideredCancelled;
    await this.seeToItsEnd(status, async () => {
      let result: StepResult;
      try {
        result = await stepTitle.run(status.title, action);
      } catch (error) {
        // A failure that is final says what was done, and nothing of it.
        const isFinal = typedCause(error)?.nonRetryable === true;
        if (!isOver && !isFinal) this.effects.set(status, 'cut short');
        throw error;
      }
      const hasChanged = typeof result === 'object' && result.changed;
      if (hasChanged) this.effects.set(status, 'changed');
      if (hasChanged && !isAside) this.changedAnything = true;
      status.text = wordsOf(result);
      status.state = 'done';
    });
  }

  /** Undoes a step, once; throws what that threw. */
  async takeBack(status: StepStatus, title: string, undo: Step['do']): Promise<void> {
    status.state = 'undoing';
    this.board.show();
    status.text = wordsOf(await stepTitle.run(title, undo));
    status.state = 'undone';
  }

  /** Holds the run at a step until somebody decides; throws `Aborted` where the run goes back meanwhile. */
  async hold(
    status: StepStatus,
    step: string,
    allowed: readonly StepDecisionName[],
  ): Promise<StepAnswer> {
    status.state = 'paused';
    const { attempt, error = '' } = status;
    const isOver = () => this.isAborted() && allowed !== undoDecisions;
    const { plan, decisions, board, holding: settings } = this;
    try {
      const answer = await hold(
        { step, attempt, allowed: [...allowed], error },
        { plan, decisions, board, settings, isOver },
      );
      if (answer) return answer;
    } finally {
      // Also where the run is cancelled, which goes back then.
      status.state = 'failed';
    }
    throw aborted(`The run was aborted while step "${step}" was paused.`);
  }

  /**
   * Waits for a time; answers what somebody decided before it was over, and throws `Aborted` where the
   * run goes back meanwhile.
   */
  async wait(status: StepStatus, ms: number): Promise<StepAnswer | undefined> {
    const { title, attempt } = status;
    const until = new Date(Date.now() + ms).toISOString();
    const text = `until ${until}`;
    status.text = text;
    const { decisions, board, isAborted } = this;
    return this.seeToItsEnd(status, async () => {
      const answer = await waitUnlessDecided(
        { step: title, attempt, allowed: ['skip', 'abort'], mayStay: true, error: text, until },
        { ms, decisions, board, isOver: isAborted },
      );
      if (!answer && isAborted()) throw aborted(`The run was aborted during step "${title}".`);
      status.state = answer ? 'skipped' : 'done';
      if (answer) status.text = `${answer.stays ? 'stopped' : 'cut short'} by ${answer.by}`;
      return answer;
    });
  }

  /** Shows how and when a step has ended; throws what `work` threw. */
  private async seeToItsEnd<T>(status: StepStatus, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      status.error = messageOf(error);
      status.state = 'failed';
      throw error;
    } finally {
      status.endedAt = new Date().toISOString();
      this.board.show();
    }
  }
}

function wordsOf(result: StepResult): string | undefined {
  return typeof result === 'object' ? result.text : (result ?? undefined);
}
