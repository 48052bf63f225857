/** Looks at one run: its status while it is open, its result once it has ended. */
import {
  ApplicationFailure,
  QueryNotRegisteredError,
  TerminatedFailure,
  TimeoutFailure,
  type WorkflowExecutionDescription,
  WorkflowFailedError,
  WorkflowNotFoundError,
  type WorkflowHandle,
} from '@temporalio/client';
import type { HeartbeatDetails, ProgressDetails } from '../activities/progress.ts';
import { outcomes, type RunResult, type RunStatus } from '../contract/run.ts';
import { CliError } from './errors.ts';
import { printable, shellWord } from '../contract/printable.ts';
import { answerWithinMs, isUnanswered, type Temporal } from './temporal.ts';

/** What an open run shows besides its status. */
export interface OpenRun {
  status: RunStatus | undefined;
  /** Progress of the activities that are running. */
  progress: ProgressDetails[];
  /** Last error of one that failed and is tried again. */
  retrying: string | undefined;
}

/**
 * Status of an open run; undefined status where no worker answers in time.
 * @throws {CliError} where there is no such run.
 */
export async function lookAt(
  { client }: Pick<Temporal, 'client'>,
  handle: WorkflowHandle,
): Promise<OpenRun> {
  const [status, described] = await Promise.all([
    client
      .withDeadline(Date.now() + answerWithinMs, () => handle.query<RunStatus>('status'))
      .catch((error: unknown) => {
        if (isUnanswered(error) || error instanceof QueryNotRegisteredError) return undefined;
        throw error;
      }),
    handle.describe(),
  ]);
  const pending = described.raw.pendingActivities ?? [];
  const { payloadConverter } = client.options.loadedDataConverter;
  const progress = pending.flatMap(({ heartbeatDetails }) => {
    const payload = heartbeatDetails?.payloads?.[0];
    // An activity that has nothing to tell yet says all the same that it lives.
    const details =
      payload && payloadConverter.fromPayload<HeartbeatDetails | null | undefined>(payload);
    if (!details) return [];
    const { standstills: _standstills, ...shown } = details;
    return [shown];
  });
  const failing = pending.find(({ lastFailure }) => lastFailure?.message);
  const retrying =
    failing && `${failing.lastFailure?.message} (attempt ${failing.attempt}, trying again)`;
  return printable({ status, progress, retrying });
}

/**
 * Waits for the run's end and answers its result.
 * @throws {CliError} where it ended without one: terminated, timed out, or no run at all.
 */
export async function resultOf(handle: WorkflowHandle): Promise<RunResult> {
  try {
    return printable((await handle.result()) as RunResult);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw noSuchRun(handle.workflowId);
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof ApplicationFailure && cause.details?.[0]) {
      return printable(cause.details[0] as RunResult);
    }
    const id = shellWord(handle.workflowId);
    const wasEnded = cause instanceof TerminatedFailure || cause instanceof TimeoutFailure;
    const next = wasEnded
      ? `take it up again with rollback resume ${id}. rollback doctor lists what it has left behind, such as traffic that is stopped.`
      : 'look with rollback history and kubectl, and start again.';
    throw new CliError(
      `Run ${id} ended without a result: ${cause?.message ?? error.message}. What it had changed stands; ${next}`,
      outcomes.failed.exitCode,
    );
  }
}

/** @throws {CliError} where there is no such run. */
export async function describeRun(handle: WorkflowHandle): Promise<WorkflowExecutionDescription> {
  return handle.describe().catch((error: unknown) => {
    throw error instanceof WorkflowNotFoundError ? noSuchRun(handle.workflowId) : error;
  });
}

function noSuchRun(workflowId: string): CliError {
  return new CliError(`There is no run ${shellWord(workflowId)}: see rollback list.`);
}
