/** The steps at which a run waits for a decision. */
import { quoted, type DecisionMessage, type StepDecisionName } from '../../contract/decision.ts';

/** What somebody decided about a step. */
export interface StepAnswer {
  decision: StepDecisionName;
  by: string;
  note?: string;
  /** A skip that ends the run there, with all left as it stands. */
  stays?: boolean;
  /** Undefined for a retry, which may come unsigned. */
  token?: string;
}

export interface Pause {
  step: string;
  attempt: number;
  allowed: readonly StepDecisionName[];
  mayStay?: boolean;
  answer?: StepAnswer;
}

/** Retries change nothing that was not approved, but somebody without a key must not go on for ever. */
const unsignedRetries = 20;

export class Pauses {
  private readonly open = new Map<string, Pause>();
  private unsigned = 0;

  get isEmpty(): boolean {
    return this.open.size === 0;
  }

  /** Titles of those that nobody has answered. */
  get steps(): string[] {
    return [...this.open.values()].filter(({ answer }) => !answer).map(({ step }) => step);
  }

  begin(pause: Pause): void {
    this.open.set(pause.step, pause);
  }

  end({ step }: Pause): void {
    this.open.delete(step);
  }

  /** Whether somebody may decide about it still. */
  isOpen(pause: Pause): boolean {
    return this.open.get(pause.step) === pause && pause.answer === undefined;
  }

  /** The pause that a message is about: it names step and attempt, so that none comes too late. */
  find(message: DecisionMessage | undefined): Pause | undefined {
    const pause = this.open.get(String(message?.step));
    return pause && !pause.answer && pause.attempt === message?.attempt ? pause : undefined;
  }

  /** Why a decision cannot be about a step; undefined where it can. */
  problemOf(
    name: StepDecisionName,
    message: DecisionMessage | undefined,
    stays: boolean,
  ): string | undefined {
    if (this.isEmpty) return 'The run is not paused at a step.';
    const pause = this.find(message);
    if (!pause) {
      const open = [...this.open.values()]
        .filter(({ answer }) => !answer)
        .map(({ step, attempt }) => `"step": ${JSON.stringify(step)}, "attempt": ${attempt}`);
      const named = `attempt ${message?.attempt} of step ${quoted(message?.step)}`;
      return `The run is not paused at ${named}; name where it is: ${open.join(' or ')}.`;
    }
    if (stays && !pause.mayStay) return 'Nothing is watched here that could be left as it stands.';
    if (pause.allowed.includes(name)) return undefined;
    const why =
      name === 'skip' ? ': a run without this step would be none' : `: "${name}" is of no use`;
    return `Here it is ${pause.allowed.join(' or ')}${why}.`;
  }

  /** Whether this message may come without a signature. */
  mayBeUnsigned(name: StepDecisionName, message: DecisionMessage | undefined): boolean {
    return name === 'retry' && message?.token === undefined && this.unsigned < unsignedRetries;
  }

  answer(pause: Pause, answer: StepAnswer): void {
    if (answer.token === undefined) this.unsigned += 1;
    pause.answer = answer;
  }
}

/** A step that the run is about cannot be left out: a run without it would end as if it had been done. */
export const neededStepDecisions = ['retry', 'abort'] as const;
/** An undo cannot be aborted: it is what an abort asks for. */
export const undoDecisions = ['retry', 'skip'] as const;
