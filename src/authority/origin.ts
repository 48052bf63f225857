/** How a run came to be, as Temporal's server has it rather than as workflow code says. */
import type { Client } from '@temporalio/client';
import { startMemo } from '../contract/run.ts';
import type { Execution } from './parts.ts';

export interface Origin {
  /** First run id: stays over resets, differs for a later run with the same workflow id. */
  firstRunId: string;
  workflowType: string;
  /** When the first of its executions began. */
  startedAt: Date;
  /** When this execution began; of a reset one, when it was reset. */
  executionStartedAt: Date;
  /** Signature of whoever started it, as it was sent; proves nothing before it is verified. */
  startToken: unknown;
}

export async function originOf(client: Client, { workflowId, runId }: Execution): Promise<Origin> {
  const found = await client.workflow.getHandle(workflowId, runId).describe();
  const { workflowExtendedInfo, workflowExecutionInfo } = found.raw;
  const original = workflowExtendedInfo?.originalStartTime?.seconds;
  return {
    firstRunId: workflowExecutionInfo?.firstRunId || runId,
    workflowType: found.type,
    startedAt: original ? new Date(Number(original) * 1000) : found.startTime,
    executionStartedAt: found.startTime,
    startToken: found.memo?.[startMemo],
  };
}
