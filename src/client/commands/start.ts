import { WorkflowExecutionAlreadyStartedError, type WorkflowHandle } from '@temporalio/client';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import {
  defaultWorkflowId,
  InvalidInputError,
  parseInput,
  type Procedure,
  workflowTypes,
} from '../../contract/input.ts';
import { outcomes, taskQueue } from '../../contract/run.ts';
import { CliError, exitCodes, lastResort } from '../errors.ts';
import { follow } from '../follow.ts';
import { printJson, printLine, printNote } from '../output.ts';
import { answerWithinMs, isDeadline, type Temporal, withTemporal } from '../temporal.ts';

export interface StartOptions {
  id?: string;
  detach?: boolean;
  json?: boolean;
}

/** Starts a run of `procedure` and follows it; answers the exit code. */
export async function start(
  procedure: Procedure,
  input: Record<string, unknown>,
  target: string,
  options: StartOptions,
): Promise<number> {
  validate(procedure, input);
  const workflowId = options.id ?? defaultWorkflowId(procedure, target, new Date());
  return withTemporal(async (temporal) => {
    const handle = await accept(temporal, procedure, workflowId, {
      requestedBy: userName(),
      ...input,
    });
    if (options.detach) {
      if (options.json) printJson({ workflowId });
      else printLine(workflowId);
      return 0;
    }
    if (options.json) printJson({ workflowId });
    else {
      printNote(`Run ${workflowId}`);
      if (process.env.TEMPORAL_UI_URL) {
        printNote(
          `${process.env.TEMPORAL_UI_URL}/namespaces/${temporal.namespace}/workflows/${workflowId}`,
        );
      }
    }
    const result = await follow(temporal, handle, options.json === true);
    return outcomes[result.outcome].exitCode;
  });
}

/** @throws {CliError} with exit code 2 and the sentence that names the field. */
export function validate(procedure: Procedure, input: unknown): void {
  try {
    parseInput(procedure, input);
  } catch (error) {
    if (error instanceof InvalidInputError) throw new CliError(error.message);
    throw error;
  }
}

async function accept(
  { client, address }: Temporal,
  procedure: Procedure,
  workflowId: string,
  input: Record<string, unknown>,
): Promise<WorkflowHandle> {
  try {
    return await client.withDeadline(Date.now() + answerWithinMs, () =>
      client.workflow.start(workflowTypes[procedure], {
        workflowId,
        taskQueue,
        args: [input],
        // Starting again with the same id follows the run that is there and never makes a second.
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        staticSummary: summaryOf(procedure, input),
      }),
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      printNote(`Run ${workflowId} was started before: following it.`);
      return client.workflow.getHandle(workflowId);
    }
    if (isDeadline(error)) {
      throw new CliError(
        `Temporal at ${address} has not accepted the run within ${answerWithinMs / 1000} s; it may have been accepted all the same. Start again with --id ${workflowId}: that never starts a second run. ${lastResort}`,
        exitCodes.unreachable,
      );
    }
    throw error;
  }
}

/** One line for lists of runs in the Temporal UI. */
function summaryOf(procedure: Procedure, input: Record<string, unknown>): string {
  const words = [input[procedure], input.reason].filter((word) => typeof word === 'string');
  return `Rollback of ${procedure} ${words.join(': ')}`.slice(0, 200);
}

/** The JSON object in a file, or on standard input for `-`. */
export function readInput(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CliError(`The input ${file} cannot be read: ${(error as Error).message}.`);
  }
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    throw new CliError(`The input ${file} is not JSON.`);
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    return input as Record<string, unknown>;
  }
  throw new CliError(`The input ${file} must be one JSON object.`);
}

function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
