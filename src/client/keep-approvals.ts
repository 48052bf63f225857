/** After a reset, what people had approved counts again where somebody who may start a run says so. */
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import type { SigningKey } from '../authority/private-key.ts';
import { classOf, isGuarded } from '../contract/activities.ts';
import { audienceOf, decideUpdateName, type DecisionMessage } from '../contract/decision.ts';
import { printable } from '../contract/printable.ts';
import { printNote } from './output.ts';
import { describeRun, lookAt } from './run-status.ts';
import { checkSeal, readSealedPlan } from './sealed-plan.ts';
import { sendDecision } from './send-decision.ts';
import { signDecision } from './sign-decision.ts';
import type { Temporal } from './temporal.ts';

type Event = temporal.api.history.v1.IHistoryEvent;

/** Within so long a run that was reset asks again. */
const asksWithinMs = 20_000;
const everyMs = 300;

/** What a run had when it was ended, to be given back to it. */
export interface Earlier {
  /** First run id, and what approvals of the run are for. */
  run: { aud: string; run: string };
  digest: string;
  /** What the plan was, in a sentence. */
  summary: string;
  tokens: string[];
}

/**
 * The approvals of a run that was ended from outside before it changed anything; undefined where
 * there are none to keep: it had begun, and goes on with those that it has; it was not planned yet;
 * or somebody had rejected it, in this or another of its executions.
 * @throws {CliError} where no worker of the caller's made the plan that they are about.
 */
export async function earlierApprovals(
  connected: Temporal,
  handle: WorkflowHandle,
  { events, firstRunId }: { events: readonly Event[]; firstRunId: string },
): Promise<Earlier | undefined> {
  const isPlanned = events.some((event) => event.activityTaskCompletedEventAttributes);
  if (!isPlanned || changedSomething(events)) return undefined;
  if (await wasRejected(connected, handle)) return undefined;
  const run = { aud: audienceOf(connected.namespace, handle.workflowId), run: firstRunId };
  const sealed = await readSealedPlan(connected, handle);
  await checkSeal(sealed, run, connected.address);
  const { payloadConverter } = connected.client.options.loadedDataConverter;
  const decisions = events.flatMap((event) => {
    const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input;
    const signal = event.workflowExecutionSignaledEventAttributes;
    const [name, args] = update ? [update.name, update.args] : [signal?.signalName, signal?.input];
    const payload = args?.payloads?.[0];
    if (!payload) return [];
    const message = payloadConverter.fromPayload<DecisionMessage | null>(payload);
    const decision = name === decideUpdateName ? message?.decision : name;
    return [{ decision, token: message?.token }];
  });
  if (decisions.some(({ decision }) => decision === 'reject')) return undefined;
  const { digest, summary } = sealed.plan;
  const tokens = decisions.flatMap(({ decision, token }) =>
    decision === 'approve' && token ? [token] : [],
  );
  return { run, digest, summary, tokens };
}

/** Says, signed, that the run was only interrupted, and gives it back the approvals that it had. */
export async function keepApprovals(
  connected: Temporal,
  handle: WorkflowHandle,
  key: SigningKey,
  { run, digest, summary, tokens }: Earlier,
): Promise<void> {
  printNote(`${printable(summary)} You sign that this was only interrupted.`);
  const began = Date.now();
  const { workflowId } = handle;
  // A decision counts from the second after the reset on, as the server's clock has it.
  const resetAt = (await describeRun(handle)).startTime.getTime();
  await delay(1000);
  for (;;) {
    const { status } = await lookAt(connected, handle);
    if (status?.phase === 'done') return;
    if (status?.phase === 'awaiting-approval') {
      const about = { ...run, decision: 'approve', digest, resumes: true } as const;
      const token = await signDecision(key, about, Math.ceil(resetAt / 1000));
      const { counted, text } = await sendDecision(connected, workflowId, {
        ...{ decision: 'approve', token },
      });
      if (counted) {
        printNote(printable(text));
        break;
      }
      // The first word makes a run that was reset plan again, and is not for the plan that comes.
      if (status.plannedAgain !== undefined) {
        return printNote(`What was approved before does not count any more: ${printable(text)}`);
      }
    }
    if (Date.now() > began + asksWithinMs) {
      return printNote('The run has not asked for approvals again: see what it does.');
    }
    await delay(everyMs);
  }
  for (const token of tokens) {
    const { counted, text } = await sendDecision(connected, workflowId, {
      ...{ decision: 'approve', token },
    });
    if (counted) printNote(printable(text));
  }
}

/** Whether an activity that changes something has ended; one that was only tried may not have. */
export function changedSomething(events: readonly Event[]): boolean {
  const ended = new Set(
    events.map((event) => String(event.activityTaskCompletedEventAttributes?.scheduledEventId)),
  );
  return events.some(({ eventId, activityTaskScheduledEventAttributes: scheduled }) => {
    const activityClass = classOf(scheduled?.activityType?.name ?? '');
    return activityClass !== undefined && isGuarded(activityClass) && ended.has(String(eventId));
  });
}

/** Whether any execution of the run ended with a rejection, which a reset may have cut off. */
async function wasRejected({ client }: Temporal, { workflowId }: WorkflowHandle): Promise<boolean> {
  const query = `WorkflowId=${JSON.stringify(workflowId)} AND RollbackOutcome="rejected"`;
  return (await client.workflow.count(query)).count > 0;
}
