import {
  type ReplayHistoriesIterable,
  Worker,
  type WorkflowBundleOption,
} from '@temporalio/worker';

/** Replays histories with today's workflow code; answers what does not replay, each in a sentence. */
export async function replay(
  workflowBundle: WorkflowBundleOption,
  histories: ReplayHistoriesIterable,
): Promise<string[]> {
  const broken: string[] = [];
  const replays = Worker.runReplayHistories({ workflowBundle }, histories);
  for await (const { workflowId, error } of replays) {
    if (error) broken.push(`The history of ${workflowId} does not replay: ${error.message}`);
  }
  return broken;
}
