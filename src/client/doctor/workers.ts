/** Whether workers are there. Temporal lists one that was killed for minutes, so one is asked for an answer. */
import { QueryNotRegisteredError } from '@temporalio/client';
import { startWorkerOf, taskQueue } from '../../contract/run.ts';
import { CliError } from '../errors.ts';
import { answerWithinMs, isUnanswered, type Temporal, withDeadline } from '../temporal.ts';

/** A worker asks anew at least once a minute; the server remembers those that are gone for five. */
const goneAfterSeconds = 70;
/** Of so many runs the newest are asked about: one alone may be in trouble by itself. */
const askedRuns = 3;
/** `TaskQueueType` of the API. */
const queueTypes = { workflow: 1, activity: 2 } as const;

/**
 * Workers of the main queue.
 * @throws {CliError} where none asks for work, or none answers.
 */
export async function mainWorkers(temporal: Temporal): Promise<[true, string]> {
  const remedy = 'start one with npm run worker';
  const seen = await seenWorkers(temporal, taskQueue, queueTypes.workflow, remedy);
  switch (await isAnswered(temporal)) {
    case true:
      return [true, `one answers; last seen: ${seen}`];
    case false:
      throw new CliError(
        `none answers within ${answerWithinMs / 1000} s, so those that were seen may have died (${seen}): ${remedy}`,
      );
    case undefined:
      return [true, lastSeen(seen)];
  }
}

/**
 * Workers of a region's own queue, where no workflow runs that could be asked about.
 * @throws {CliError} where none asks for work.
 */
export async function regionWorkers(
  temporal: Temporal,
  queue: string,
  region: string,
): Promise<[true, string]> {
  const where = `region ${region}: `;
  const remedy = startWorkerOf(region);
  try {
    const seen = await seenWorkers(temporal, queue, queueTypes.activity, remedy);
    return [true, where + lastSeen(seen)];
  } catch (error) {
    throw error instanceof CliError ? new CliError(where + error.message, error.exitCode) : error;
  }
}

function lastSeen(seen: string): string {
  return `last seen: ${seen}; one that has died since is told within ${goneAfterSeconds} s`;
}

/** Who has asked for work lately, and when, newest first. */
async function seenWorkers(
  temporal: Temporal,
  queue: string,
  taskQueueType: number,
  remedy: string,
): Promise<string> {
  const { client, namespace } = temporal;
  const { pollers } = await withDeadline(temporal, () =>
    client.connection.workflowService.describeTaskQueue({
      ...{ namespace, taskQueue: { name: queue }, taskQueueType },
    }),
  );
  if (!pollers?.length) throw new CliError(`none polls task queue ${queue}: ${remedy}`);
  const seen = pollers
    .map(({ identity, lastAccessTime }) => {
      const ago = Date.now() / 1000 - Number(lastAccessTime?.seconds ?? 0);
      return { identity, ago: Math.max(0, Math.round(ago)) };
    })
    .sort((one, other) => one.ago - other.ago);
  const recent = seen.filter(({ ago }) => ago < goneAfterSeconds);
  if (recent.length > 0)
    return recent.map(({ identity, ago }) => `${identity} ${ago} s ago`).join(', ');
  throw new CliError(`the last one was seen ${seen[0]?.ago} s ago: ${remedy}`);
}

/** Whether a worker answers for the newest runs; undefined where there is none that could be asked about. */
async function isAnswered(temporal: Temporal): Promise<boolean | undefined> {
  const { client, namespace } = temporal;
  const query = `TaskQueue = '${taskQueue}'`;
  const { executions } = await withDeadline(temporal, () =>
    client.workflowService.listWorkflowExecutions({ namespace, query, pageSize: askedRuns }),
  );
  const ids = executions.flatMap(({ execution }) => execution?.workflowId ?? []);
  const answers = await Promise.all(
    ids.map(async (workflowId) => {
      try {
        await client.withDeadline(Date.now() + answerWithinMs, () =>
          client.workflow.getHandle(workflowId).query('status'),
        );
        return true;
      } catch (error) {
        if (error instanceof QueryNotRegisteredError) return true;
        // Any other error is the run's own.
        return isUnanswered(error) ? false : undefined;
      }
    }),
  );
  return answers.includes(true) || (answers.includes(false) ? false : undefined);
}
