/** What a run was started with, as the server keeps it. */
import type { Client } from '@temporalio/client';

export interface StartedWith {
  type: string;
  taskQueue: string;
  /** The workflow's one argument, whatever that is. */
  input: unknown;
}

/** Reads the first event of the history of a run, which is there whether a worker is or not. */
export async function startedWith(
  client: Client,
  namespace: string,
  execution: { workflowId: string; runId?: string },
): Promise<StartedWith> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    ...{ namespace, execution, maximumPageSize: 1 },
  });
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  const payload = started?.input?.payloads?.[0];
  const { payloadConverter } = client.options.loadedDataConverter;
  return {
    type: started?.workflowType?.name ?? '',
    taskQueue: started?.taskQueue?.name ?? '',
    input: payload ? payloadConverter.fromPayload(payload) : undefined,
  };
}
