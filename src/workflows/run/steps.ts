/** The steps of one run: done in order, undone in reverse. */
import { CancellationScope } from '@temporalio/workflow';
import type {
  Authorization,
  Change,
  Effect,
  Mandate,
  Plan,
  RunIdentity,
} from '../../contract/plan.ts';
import type { StepStatus } from '../../contract/run.ts';
import { messageOf } from './outcome.ts';
import { stepTitle } from './proxies.ts';
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
  undoOnlyIf?: () => Promise<{ beforeIsHealthier: boolean; text: string }>;
}

interface Registered {
  status: StepStatus;
  undo: NonNullable<Step['undo']>;
  undoOnlyIf: Step['undoOnlyIf'];
}

/** A mandate for a change, with the one that takes it back. */
export type ChangeMandate<C extends Change> = Mandate<C> & { inverse: Mandate<C> };

/** What a procedure's `steps` work with. */
export class Run {
  readonly plan: Plan;
  /** Whether any step has changed something. */
  changedAnything = false;
  private readonly board: StatusBoard;
  private readonly identity: RunIdentity;
  private readonly authority: Authorization;
  private readonly compensations: Registered[] = [];
  private readonly closing: { title: string; do: Step['do'] }[] = [];

  constructor(plan: Plan, identity: RunIdentity, authority: Authorization, board: StatusBoard) {
    this.plan = plan;
    this.authority = authority;
    this.identity = identity;
    this.board = board;
  }

  /** Mandate for the plan's change with this id, as activities that change something take it. */
  change<C extends Change>(id: string): ChangeMandate<C> {
    const change = this.plan.changes.find((candidate) => candidate.id === id);
    if (!change) throw new Error(`The plan has no change ${id}.`);
    const { targets, changeHashes, digest } = this.plan;
    const mandate = (undo: boolean): Mandate<C> => ({
      change: change as C,
      undo,
      plan: { targets, changeHashes, digest },
      run: this.identity,
      authority: this.authority,
    });
    return { ...mandate(false), inverse: mandate(true) };
  }

  /** Takes a step; where it fails, so do the procedure's `steps`. */
  async step(title: string, step: Step): Promise<void> {
    const status = this.board.addStep(title);
    const { undo, undoOnlyIf } = step;
    if (undo) this.compensations.unshift({ status, undo, undoOnlyIf });
    await this.attempt(status, step.do);
  }

  /** Registers what is done at the end of a run whose steps did not all end well, after compensation. */
  ifCutShort(title: string, action: Step['do']): void {
    this.closing.push({ title, do: action });
  }

  /** Does what `ifCutShort` registered, shielded from cancellation. */
  async cutShort(): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      while (this.closing.length > 0) {
        const { title, do: action } = this.closing[0] as (typeof this.closing)[number];
        await this.attempt(this.board.addStep(title), action);
        this.closing.shift();
      }
    });
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
        const kept = left.length > 0 ? 'a later step still stands' : await whyNot(undoOnlyIf);
        if (kept === undefined) {
          status.state = 'undoing';
          this.board.show();
          try {
            status.text = wordsOf(await stepTitle.run(`Undo: ${status.title}`, undo));
            status.state = 'undone';
            continue;
          } catch (error) {
            status.error = messageOf(error);
          }
        }
        status.state = 'not-undone';
        left.push(`${status.title}: ${kept ?? status.error}`);
      }
      this.board.show();
      return left;
    });
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
}

async function whyNot(undoOnlyIf: Step['undoOnlyIf']): Promise<string | undefined> {
  if (!undoOnlyIf) return undefined;
  try {
    const { beforeIsHealthier, text } = await undoOnlyIf();
    return beforeIsHealthier ? undefined : `the version that was left is not healthier (${text})`;
  } catch (error) {
    return `it cannot be told whether the version that was left is healthier (${messageOf(error)})`;
  }
}

function wordsOf(result: StepResult): string | undefined {
  return typeof result === 'object' ? result.text : (result ?? undefined);
}
