/** How a run came to be, as Temporal's server has it rather than as workflow code says. */
import type { Client } from '@temporalio/client';
import { startMemo } from '../contract/run.ts';
import { searchAttributes } from '../contract/search-attributes.ts';
import type { Execution } from './parts.ts';

export interface Origin {
  /** First run id: stays over resets, differs for a later run with the same workflow id. */
  firstRunId: string;
  workflowType: string;
  startedAt: Date;
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
    startToken: found.memo?.[startMemo],
  };
}

/**
 * When a run was last rejected or expired that another was reset from since. A reset can leave the
 * rejection out of the new run's history; it stays with the one that ended by it.
 */
export async function lastRefusalOf(
  client: Client,
  workflowId: string,
  firstRunId: string,
): Promise<Date | undefined> {
  const id = workflowId.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  const outcome = searchAttributes.outcome.name;
  const query = `WorkflowId = '${id}' AND ${outcome} IN ('rejected', 'expired')`;
  let last: Date | undefined;
  for await (const { runId, closeTime } of client.workflow.list({ query })) {
    const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
    if (raw.workflowExecutionInfo?.firstRunId !== firstRunId) continue;
    if (closeTime && (!last || closeTime > last)) last = closeTime;
  }
  return last;
}
