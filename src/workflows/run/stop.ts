import { CancellationScope } from '@temporalio/workflow';
import { aborted, isOutcome } from './outcome.ts';

/** Who has aborted a run as a whole. */
export interface StopAnswer {
  by: string;
  note?: string;
  /** Steps that waited then, by title. */
  at: string[];
  token: string;
}

/** The end that somebody may put to a run at any time while it acts, whatever it is at. */
export class Stop {
  /** Who did; undefined where nobody has. */
  answer: StopAnswer | undefined;
  private scope: CancellationScope | undefined;

  /** Why the run cannot be stopped now; undefined where it can. */
  get problem(): string | undefined {
    if (this.scope && !this.answer) return undefined;
    return this.answer
      ? 'The run goes back already.'
      : 'The run is at nothing that could be aborted: reject one that waits for approval; one that goes back comes to its end.';
  }

  /** Ends what the run is at. Only where there is no `problem`. */
  stop(answer: StopAnswer): void {
    this.answer = answer;
    this.scope?.cancel();
  }

  /** Does `work`, which may be stopped meanwhile; throws `Aborted` where it was. */
  async unlessStopped<T>(work: () => Promise<T>): Promise<T> {
    const scope = new CancellationScope();
    this.scope = scope;
    try {
      const done = await scope.run(work);
      // It came to its end in the same moment; whoever aborted was told that it goes back.
      if (this.answer) throw aborted(inWords(this.answer));
      return done;
    } catch (error) {
      throw this.answer && isOutcome(error) ? aborted(inWords(this.answer)) : error;
    } finally {
      this.scope = undefined;
    }
  }
}

function inWords({ by, note, at }: StopAnswer): string {
  const where = at.length > 0 ? ` at ${at.map((step) => `"${step}"`).join(' and ')}` : '';
  return `${by} aborted the run${where}${note ? `: ${note}` : ''}.`;
}
