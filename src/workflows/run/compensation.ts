/** How a run goes back: what its steps registered is undone in reverse, and nothing is left half-done. */
import { CancellationScope, patched } from '@temporalio/workflow';
import { failureTypes } from '../../contract/failures.ts';
import type { StepStatus } from '../../contract/run.ts';
import type { Attempts } from './attempts.ts';
import { isOutcome, messageOf, typedCause } from './outcome.ts';
import { undoDecisions } from './pauses.ts';
import type { ClosingAction, Step } from './run.ts';
import type { StatusBoard } from './status.ts';

interface Registered extends Pick<Step, 'undoOnlyIf' | 'noWayBack'> {
  status: StepStatus;
  /** Undefined where there is no way back. */
  undo: Step['undo'];
  isAside: boolean;
}

interface Closing {
  title: string;
  do: ClosingAction;
}

export class Compensation {
  private readonly attempts: Attempts;
  private readonly board: StatusBoard;
  private readonly isAborted: () => boolean;
  /** The last one first. */
  private readonly registered: Registered[] = [];
  private readonly closing: Closing[] = [];

  constructor(attempts: Attempts, board: StatusBoard, isAborted: () => boolean) {
    this.attempts = attempts;
    this.board = board;
    this.isAborted = isAborted;
  }

  /** Registers how a step is undone, before it is taken. */
  register(status: StepStatus, { undo, undoOnlyIf, isAside = false, noWayBack }: Step): void {
    if (!undo && noWayBack === undefined) return;
    this.registered.unshift({ status, undo, undoOnlyIf, isAside, noWayBack });
  }

  ifCutShort(closing: Closing): void {
    this.closing.push(closing);
  }

  /** Whether there is something that must not be undone without a person. */
  async needsAPerson(): Promise<boolean> {
    for (const { undo, undoOnlyIf } of this.registered) {
      if (undo && (await this.mayUndo(undoOnlyIf)).kept !== undefined) return true;
    }
    return false;
  }

  /**
   * Undoes the steps in reverse order, shielded from cancellation. Stops at the first one that
   * must not or cannot be undone, since the ones before it may rest on it.
   * @returns what could not be undone and why; empty where all was.
   */
  async compensate(): Promise<string[]> {
    return this.undo(this.registered);
  }

  /** Takes back what was done aside of the plan's own changes; false where that cannot be done. */
  async takeBackAsides(): Promise<boolean> {
    return (await this.undo(this.registered.filter(({ isAside }) => isAside))).length === 0;
  }

  /**
   * Does what `ifCutShort` registered, shielded from cancellation.
   * @param holds whether the run ends with it, so that a failure is held for a decision, or thrown
   * @returns what was left out, in words
   */
  async cutShort(holds: boolean): Promise<string[]> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      for (let next = this.closing[0]; next; next = this.closing[0]) {
        const { title, do: action } = next;
        const status = this.board.addStep(title);
        const attempt = () => this.attempts.attempt(status, () => action(holds));
        if (holds) await this.seeThrough(status, title, attempt, left);
        else await attempt();
        this.closing.shift();
      }
      return left;
    });
  }

  /** As `cutShort`; what fails is tried again at the end of the run. */
  async tryToCutShort(): Promise<void> {
    try {
      await this.cutShort(false);
    } catch (error) {
      if (!isOutcome(error)) throw error;
    }
  }

  private async undo(registered: readonly Registered[]): Promise<string[]> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      let standing: string | undefined;
      for (const { status, undo, undoOnlyIf, noWayBack } of registered) {
        if (!undo) {
          const lasting = this.whatLasts(status, noWayBack);
          if (lasting === undefined) continue;
          left.push(lasting);
          if (patched('what-lasts-stands')) standing ??= status.title;
          continue;
        }
        const { kept, nothing } =
          standing === undefined
            ? await this.mayUndo(undoOnlyIf)
            : { kept: `not taken back, since "${standing}" still stands` };
        if (nothing !== undefined) {
          Object.assign(status, { state: 'undone', text: nothing });
          continue;
        }
        if (kept !== undefined) {
          status.state = 'not-undone';
          left.push(`${status.title}: ${kept}`);
          standing ??= status.title;
          continue;
        }
        const title = `Undo: ${status.title}`;
        status.attempt = 1;
        const takeBack = () => this.attempts.takeBack(status, title, undo);
        await this.seeThrough(status, title, takeBack, left);
        if (left.length > 0) standing ??= status.title;
      }
      this.board.show();
      return left;
    });
  }

  /** What a step has done that nothing takes back, in words; undefined where it has done nothing. */
  private whatLasts(status: StepStatus, why: string | undefined): string | undefined {
    const effect = this.attempts.effects.get(status);
    if (effect === undefined) return undefined;
    const did = effect === 'changed' ? status.text : 'It was cut short, and may have done a part.';
    return `${status.title}: ${did} That stays so: ${why}.`;
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
          const { decision, by } = await this.attempts.hold(status, title, undoDecisions);
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

  /** Whether a step may be undone: why it is kept, or why there is nothing to undo. */
  private async mayUndo(
    undoOnlyIf: Step['undoOnlyIf'],
  ): Promise<{ kept?: string; nothing?: string }> {
    if (!undoOnlyIf) return {};
    try {
      const { beforeIsHealthier, nothingToUndo, text } = await undoOnlyIf();
      if (nothingToUndo) return { nothing: text };
      if (beforeIsHealthier || this.isAborted()) return {};
      return { kept: `the version that was left is not healthier (${text})` };
    } catch (error) {
      if (this.isAborted()) return {};
      const why = messageOf(error);
      return { kept: `it cannot be told whether the version that was left is healthier (${why})` };
    }
  }
}

/** Whether another run has taken the target over from one that was ended: it hands it back itself. */
function handsBackItself(error: unknown): boolean {
  return typedCause(error)?.type === failureTypes.targetBusy && patched('taken-over');
}
