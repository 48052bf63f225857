/** What `rollback doctor` looks at of Temporal and the workers there. */
import type { Settings } from '../../config/schema.ts';
import { taskQueue } from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import { answerWithinMs, explain, type Temporal } from '../temporal.ts';

const day = 86_400;
/** Statistics and reports look back this long. */
const retentionDays = 30;
/** A worker asks anew at least once a minute; the server remembers those that are gone for five. */
const aliveSeconds = 70;
/** `TaskQueueType` of the API. */
const queueTypes = { workflow: 1, activity: 2 } as const;

/**
 * Whether Temporal keeps runs for long enough and knows their search attributes, and workers are there:
 * one at least, and one for each region that has its own.
 */
export async function checkTemporal(
  findings: Finding[],
  temporal: Temporal,
  regions: Settings['regions'],
): Promise<void> {
  const { client, address, namespace } = temporal;
  const service = client.connection.workflowService;
  const within = <T>(call: () => Promise<T>) => withDeadline(temporal, call);
  const reached = await look(findings, 'temporal', async () => {
    const { config } = await within(() => service.describeNamespace({ namespace }));
    const days = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) / day;
    if (days < retentionDays) {
      throw new CliError(
        `${address} keeps closed runs of namespace ${namespace} for ${days} days only; run temporal operator namespace update --namespace ${namespace} --retention ${retentionDays * 24}h`,
      );
    }
    return [true, `${address}, namespace ${namespace}, keeps closed runs for ${days} days`];
  });
  if (!reached && findings.at(-1)?.text.includes('does not answer')) return;
  const attributes = look(findings, 'search attributes', async () => {
    const { customAttributes } = await within(() =>
      client.connection.operatorService.listSearchAttributes({ namespace }),
    );
    const missing = Object.values(searchAttributes)
      .map(({ name }) => name)
      .filter((name) => !customAttributes?.[name]);
    if (missing.length === 0) return [true, 'registered'];
    throw new CliError(
      `${missing.join(', ')} are missing: start a worker, which adds them or says how`,
    );
  });
  const own = Object.entries(regions).flatMap(([region, { taskQueue: queue }]) =>
    queue === undefined ? [] : [{ queue, region }],
  );
  await Promise.all([
    attributes,
    look(findings, 'worker', () => aliveWorkers(temporal, taskQueue)),
    ...own.map(({ queue, region }) =>
      look(findings, 'worker', () => aliveWorkers(temporal, queue, region)),
    ),
  ]);
}

/** @throws {CliError} where none asks for work. */
async function aliveWorkers(
  temporal: Temporal,
  queue: string,
  region?: string,
): Promise<[true, string]> {
  const { client, namespace } = temporal;
  const { pollers } = await withDeadline(temporal, () =>
    client.connection.workflowService.describeTaskQueue({
      ...{ namespace, taskQueue: { name: queue } },
      // In a region's own worker no workflow runs.
      taskQueueType: region === undefined ? queueTypes.workflow : queueTypes.activity,
    }),
  );
  const where = region === undefined ? '' : `region ${region}: `;
  const remedy = `start one with npm run worker${region === undefined ? '' : ` and worker.region: ${region} in its settings`}`;
  if (!pollers?.length) throw new CliError(`${where}none polls task queue ${queue}: ${remedy}`);
  const seen = pollers.map(({ identity, lastAccessTime }) => {
    return { identity, seconds: Date.now() / 1000 - Number(lastAccessTime?.seconds ?? 0) };
  });
  const alive = seen
    .filter(({ seconds }) => seconds < aliveSeconds)
    .map(({ identity }) => identity);
  if (alive.length > 0) return [true, where + alive.join(', ')];
  const last = Math.round(Math.min(...seen.map(({ seconds }) => seconds)));
  throw new CliError(`${where}the last one was seen ${last} s ago: ${remedy}`);
}

function withDeadline<T>(temporal: Temporal, call: () => Promise<T>): Promise<T> {
  return temporal.client.withDeadline(Date.now() + answerWithinMs, call).catch((error: unknown) => {
    throw explain(error, temporal);
  });
}
