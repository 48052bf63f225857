import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import { CliError, exitCodes } from '../errors.ts';
import { explainFailure } from '../explain-failure.ts';

/** What `rollback doctor` has found about one thing. */
export interface Finding {
  what: string;
  /** False for a warning too. */
  ok: boolean;
  /** Whether all may be well nevertheless, so that the exit code does not tell of it. */
  warning?: true;
  text: string;
}

/** What somebody should look at, with what to do about it, and what does not stand in the way of a rollback. */
export class Warning extends Error {}

export interface LookOptions {
  /**
   * Whether the thing is there for workers, and this is no worker's machine: what is not to be
   * reached from here may be from there, and is a warning.
   */
  isElsewhere?: boolean;
  /** What to do where an outside system has answered an error, or nothing: a sentence. */
  remedy?: string;
  /** In milliseconds. */
  limitMs?: number;
}

/** What is there answers far sooner; most requests have a shorter limit of their own. */
const lookWithinMs = 15_000;

/**
 * Runs one check; what it throws is its finding. Answers what it found, if anything. Findings stand in
 * the order in which their checks began.
 */
export async function look<T>(
  findings: Finding[],
  what: string,
  check: () => Promise<[T, string]>,
  { isElsewhere = false, remedy, limitMs = lookWithinMs }: LookOptions = {},
): Promise<T | undefined> {
  const finding: Finding = { what, ok: false, text: '' };
  findings.push(finding);
  try {
    const [found, text] = await within(limitMs, check());
    Object.assign(finding, { ok: true, text });
    return found;
  } catch (error) {
    if (error instanceof Warning) {
      Object.assign(finding, { warning: true, text: error.message });
      return undefined;
    }
    const { message, exitCode } = explainFailure(error);
    const text =
      remedy === undefined || error instanceof CliError ? message : `${message} ${remedy}`;
    const isSeenFromHere = isElsewhere && exitCode === exitCodes.unreachable;
    Object.assign(
      finding,
      isSeenFromHere ? { warning: true, text: `seen from here: ${text}` } : { text },
    );
    return undefined;
  }
}

/** Ends the wait for `work`, and not the work itself. */
async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `No answer within ${limitMs / 1000} s.`;
      reject(ApplicationFailure.retryable(message, failureTypes.unreachable));
    }, limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
