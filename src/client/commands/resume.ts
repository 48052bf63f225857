/** `rollback resume`: takes up a run that was ended from outside, or starts what it was meant to do again. */
import type { WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import type { temporal as api } from '@temporalio/proto';
import { randomUUID } from 'node:crypto';
import { type Procedure, procedures } from '../../contract/input.ts';
import type { Mandate } from '../../contract/plan.ts';
import { shellWord } from '../../contract/printable.ts';
import { outcomes } from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { CliError } from '../errors.ts';
import { follow } from '../follow.ts';
import { changedSomething, earlierApprovals, keepApprovals } from '../keep-approvals.ts';
import { printJson, printNote } from '../output.ts';
import { ownKey } from '../own-key.ts';
import { describeRun } from '../run-status.ts';
import { type Temporal, withTemporal } from '../temporal.ts';
import { start, type StartOptions } from './start.ts';

type Event = api.api.history.v1.IHistoryEvent;

const unsigned =
  'Nobody has signed that the run was only interrupted, so it asks for every approval again unless it had begun: name your key with --key or ROLLBACK_KEY the next time.';

/** What is to be done about a run that has ended, and how it is told. */
type Resumption =
  | { kind: 'reset'; toEvent: Event['eventId']; events: Event[]; firstRunId: string; text: string }
  | { kind: 'again'; procedure: Procedure; input: Record<string, unknown>; text: string };

/** Resumes a run and follows it; answers the exit code of its outcome. */
export async function resume(workflowId: string, options: StartOptions): Promise<number> {
  return withTemporal(async (temporal) => {
    const { client, namespace } = temporal;
    const handle = client.workflow.getHandle(workflowId);
    const found = await resumptionOf(temporal, handle);
    printNote(found.text);
    if (found.kind === 'again') {
      const { procedure, input } = found;
      return start(procedure, input, options);
    }
    const key = await ownKey(options.key);
    const earlier = key && (await earlierApprovals(temporal, handle, found).catch(tellWhyNone));
    await client.workflowService.resetWorkflowExecution({
      ...{ namespace, workflowExecution: { workflowId }, requestId: randomUUID() },
      ...{ reason: 'rollback resume', workflowTaskFinishEventId: found.toEvent },
    });
    if (!key) printNote(unsigned);
    else if (earlier) await keepApprovals(temporal, handle, key, earlier);
    if (options.json) printJson({ workflowId });
    if (options.detach) return 0;
    const result = await follow(temporal, handle, options.json === true);
    return outcomes[result.outcome].exitCode;
  });
}

/** Approvals are not worth keeping a run from going on. */
function tellWhyNone(error: unknown): undefined {
  if (!(error instanceof CliError)) throw error;
  printNote(`What was approved before is not kept. ${error.message}`);
}

/** @throws {CliError} where there is nothing to resume. */
async function resumptionOf({ client }: Temporal, handle: WorkflowHandle): Promise<Resumption> {
  const { workflowId } = handle;
  const described = await describeRun(handle);
  assertResumable(described, workflowId);
  const events = (await handle.fetchHistory()).events ?? [];
  const { payloadConverter } = client.options.loadedDataConverter;
  const argumentOf = (event: Event): unknown => {
    const attributes =
      event.activityTaskScheduledEventAttributes ?? event.workflowExecutionStartedEventAttributes;
    const payload = attributes?.input?.payloads?.[0];
    return payload ? payloadConverter.fromPayload(payload) : undefined;
  };
  const wasEndedFromOutside = ['TERMINATED', 'TIMED_OUT'].includes(described.status.name);
  const wentBack = events.some(
    (event) =>
      event.activityTaskScheduledEventAttributes &&
      (argumentOf(event) as Partial<Mandate> | undefined)?.undo === true,
  );
  const lastTask = events.findLast((event) => event.workflowTaskCompletedEventAttributes);
  const procedure = procedureOf(described.type);
  const isUnmarked =
    procedure !== undefined &&
    procedures[procedure].leavesNoMark === true &&
    changedSomething(events);
  if (wasEndedFromOutside && !wentBack && !isUnmarked && lastTask) {
    const text = `Run ${shellWord(workflowId)} was ended from outside, and is taken up from where it was.`;
    const firstRunId = described.raw.workflowExecutionInfo?.firstRunId || described.runId;
    return { kind: 'reset', toEvent: lastTask.eventId, events, firstRunId, text };
  }
  const input = (events[0] && argumentOf(events[0])) as Record<string, unknown> | undefined;
  if (!procedure || !input) {
    throw new CliError(`What run ${shellWord(workflowId)} was started with is not known.`);
  }
  const fromOutside = isUnmarked
    ? 'was ended from outside after it had begun'
    : 'was ended before it began';
  const ended = wasEndedFromOutside ? fromOutside : 'has ended by itself';
  const why = wentBack ? 'had begun to go back' : ended;
  const text = `Run ${shellWord(workflowId)} ${why}, so a new one with the same input begins.`;
  return { kind: 'again', procedure, input, text };
}

function assertResumable(described: WorkflowExecutionDescription, workflowId: string): void {
  const id = shellWord(workflowId);
  if (described.status.name === 'RUNNING') {
    throw new CliError(
      `Run ${id} is open and goes on by itself as soon as a worker is there: rollback watch ${id}. Where it is paused, it says what it waits for.`,
    );
  }
  const outcome = described.typedSearchAttributes.get(searchAttributes.outcome);
  if (described.status.name === 'COMPLETED') {
    throw new CliError(
      `Run ${id} has done what it was to do (${outcome}): there is nothing to resume.`,
    );
  }
}

function procedureOf(type: string): Procedure | undefined {
  const all = Object.keys(procedures) as Procedure[];
  return all.find((procedure) => procedures[procedure].workflowType === type);
}
