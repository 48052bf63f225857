import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { SigningKey } from '../../authority/private-key.ts';
import { inputHash, signStart } from '../../authority/sign-start.ts';
import {
  defaultWorkflowId,
  InvalidInputError,
  parseInput,
  type Procedure,
  procedures,
  subjectOf,
} from '../../contract/input.ts';
import { shellWord } from '../../contract/printable.ts';
import { outcomes, startMemo, taskQueue } from '../../contract/run.ts';
import { CliError, exitCodes, lastResort } from '../errors.ts';
import { inputName } from '../flags.ts';
import { follow } from '../follow.ts';
import { printJson, printLine, printNote } from '../output.ts';
import { ownKey } from '../own-key.ts';
import { sameRunOf } from '../same-run.ts';
import { startedWith } from '../started-with.ts';
import { answerWithinMs, isDeadline, type Temporal, withTemporal } from '../temporal.ts';

export interface StartOptions {
  id?: string;
  detach?: boolean;
  key?: string;
  json?: boolean;
}

/** Starts a run of `procedure` and follows it; answers the exit code. */
export async function start(
  procedure: Procedure,
  input: Record<string, unknown>,
  options: StartOptions,
): Promise<number> {
  validate(procedure, input);
  const key = await ownKey(options.key);
  if (!key && !input.dryRun) {
    printNote(
      'Started unsigned, so it waits until somebody confirms it: name your key with --key or ROLLBACK_KEY.',
    );
  }
  const workflowId =
    options.id ?? defaultWorkflowId(procedure, subjectOf(procedure, input), new Date());
  return withTemporal(async (temporal) => {
    // A signature says who asks; without one, the account is worth telling.
    const whole = key ? input : { requestedBy: userName(), ...input };
    const handle = await accept(temporal, procedure, workflowId, whole, key);
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
    const json = options.json === true;
    const result = await follow(temporal, handle, json);
    const other = result.outcome === 'busy' ? await sameRunOf(temporal, result) : undefined;
    if (other === undefined) return outcomes[result.outcome].exitCode;
    printNote(`Run ${shellWord(other)} does the same already: following it.`);
    const followed = await follow(temporal, temporal.client.workflow.getHandle(other), json);
    return outcomes[followed.outcome].exitCode;
  });
}

/** @throws {CliError} with exit code 2 and the sentence that names the field, and how it is given here. */
export function validate(procedure: Procedure, input: unknown): void {
  try {
    parseInput(procedure, input, (field) => `Field "${field}" (${inputName(procedure, field)})`);
  } catch (error) {
    if (error instanceof InvalidInputError) throw new CliError(error.message);
    throw error;
  }
}

async function accept(
  { client, address, namespace }: Temporal,
  procedure: Procedure,
  workflowId: string,
  input: Record<string, unknown>,
  key: SigningKey | undefined,
): Promise<WorkflowHandle> {
  const { workflowType } = procedures[procedure];
  const start = key && (await signStart(key, { namespace, workflowId, workflowType, input }));
  try {
    return await client.withDeadline(Date.now() + answerWithinMs, () =>
      client.workflow.start(workflowType, {
        workflowId,
        taskQueue,
        args: [input],
        ...(start ? { memo: { [startMemo]: start } } : {}),
        // Starting again with the same id follows the run that is there and never makes a second.
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        staticSummary: summaryOf(procedure, input),
      }),
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      await assertSameInput(client, namespace, workflowId, inputHash(workflowType, input));
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

/**
 * Whoever may write to the namespace may claim a workflow id first: a run that was started with
 * another input is not the one that was asked for.
 */
async function assertSameInput(
  client: Client,
  namespace: string,
  workflowId: string,
  asked: string,
): Promise<void> {
  const started = await startedWith(client, namespace, { workflowId });
  const isAsked = inputHash(started.type, started.input) === asked;
  if (isAsked && started.taskQueue === taskQueue) return;
  throw new CliError(
    `There is a run ${workflowId} already, and it was started with another input: look at it with rollback status ${workflowId}, and start yours with another --id.`,
  );
}

/** One line for lists of runs in the Temporal UI. */
function summaryOf(procedure: Procedure, input: Record<string, unknown>): string {
  const { reason } = input;
  const words = [subjectOf(procedure, input), typeof reason === 'string' ? reason : ''];
  return `Rollback of ${procedure} ${words.filter(Boolean).join(': ')}`.slice(0, 200);
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
