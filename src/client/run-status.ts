/** Looks at one run: its status while it is open, its result once it has ended. */
import {
  ApplicationFailure,
  QueryNotRegisteredError,
  type WorkflowExecutionDescription,
  WorkflowFailedError,
  WorkflowNotFoundError,
  type WorkflowHandle,
} from '@temporalio/client';
import type { ProgressDetails } from '../activities/progress.ts';
import { outcomes, type RunResult, type RunStatus } from '../contract/run.ts';
import { CliError } from './errors.ts';
import { printable, shellWord } from '../contract/printable.ts';
import { answerWithinMs, isUnanswered, type Temporal } from './temporal.ts';

/** What an open run shows besides its status. */
export interface OpenRun {
  status: RunStatus | undefined;
  /** Progress and last error of the activity that is running. */
  progress: ProgressDetails | undefined;
  retrying: string | undefined;
}

/**
 * Status of an open run; undefined status where no worker answers in time.
 * @throws {CliError} where there is no such run.
 */
export async function lookAt(temporal: Temporal, handle: WorkflowHandle): Promise<OpenRun> {
  const [status, described] = await Promise.all([
    temporal.client
      .withDeadline(Date.now() + answerWithinMs, () => handle.query<RunStatus>('status'))
      .catch((error: unknown) => {
        if (isUnanswered(error) || error instanceof QueryNotRegisteredError) return undefined;
        throw error;
      }),
    handle.describe(),
  ]);
  const pending = described.raw.pendingActivities ?? [];
  const activity = pending.find(({ heartbeatDetails }) => heartbeatDetails) ?? pending[0];
  const payload = activity?.heartbeatDetails?.payloads?.[0];
  const progress = payload
    ? temporal.client.options.loadedDataConverter.payloadConverter.fromPayload<ProgressDetails>(
        payload,
      )
    : undefined;
  const failure = activity?.lastFailure?.message;
  const retrying = failure ? `${failure} (attempt ${activity?.attempt}, trying again)` : undefined;
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
    throw new CliError(
      `Run ${shellWord(handle.workflowId)} ended without a result: ${cause?.message ?? error.message}. What it had changed stands; look with rollback history and kubectl, and start again.`,
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
