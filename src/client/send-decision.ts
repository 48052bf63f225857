import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ApplicationFailure,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import {
  decideUpdateName,
  type DecisionAnswer,
  type DecisionMessage,
  type DecisionName,
} from '../contract/decision.ts';
import { startWorker } from './errors.ts';
import { shellWord } from '../contract/printable.ts';
import { answerWithinMs, isDropped, isUnanswered, type Temporal } from './temporal.ts';

/** What is known of a decision that was sent; `counted` is null where nobody has looked at it. */
export type Sent = Omit<DecisionAnswer, 'counted'> & { counted: boolean | null };

/** Sends the decision and answers whether it counted; as a signal where no worker is there to say. */
export async function sendDecision(
  { client }: Pick<Temporal, 'client'>,
  workflowId: string,
  message: DecisionMessage & { decision: DecisionName },
): Promise<Sent> {
  const handle = client.workflow.getHandle(workflowId);
  // The same id with every try, so that it is looked at once.
  const updateId = randomUUID();
  const giveUp = Date.now() + answerWithinMs;
  for (;;) {
    try {
      return await client.withDeadline(giveUp, () =>
        handle.executeUpdate<DecisionAnswer, [DecisionMessage]>(decideUpdateName, {
          ...{ args: [message], updateId },
        }),
      );
    } catch (error) {
      if (hasEnded(error)) return endedMeanwhile(workflowId);
      if (error instanceof WorkflowUpdateFailedError) {
        return { counted: false, text: error.cause?.message ?? error.message };
      }
      if (isUnanswered(error)) break;
      if (!isDropped(error) || Date.now() > giveUp) throw error;
      await delay(100);
    }
  }
  try {
    await handle.signal<[DecisionMessage]>(message.decision, message);
  } catch (error) {
    if (!hasEnded(error)) throw error;
    return endedMeanwhile(workflowId);
  }
  return {
    counted: null,
    text: `No worker answers, so whether it counts is not known yet. It was sent as a signal, and waits with the run until a worker looks at it, within the hour: ${startWorker}. See rollback status ${shellWord(workflowId)}.`,
  };
}

/** Whether the run has ended before it looked at the decision, or while it did. */
function hasEnded(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return true;
  const cause = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
  // The server's own failure, and not a refusal of the run.
  return cause instanceof ApplicationFailure && cause.type === 'AcceptedUpdateCompletedWorkflow';
}

function endedMeanwhile(workflowId: string): Sent {
  const text = `Run ${workflowId} has ended meanwhile: see rollback status ${shellWord(workflowId)}.`;
  return { counted: false, text };
}
