/** What `rollback doctor` looks at of Temporal and the workers there. */
import type { Settings } from '../../config/schema.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import { type Temporal, withDeadline } from '../temporal.ts';
import { mainWorkers, regionWorkers } from './workers.ts';

const day = 86_400;
/** Statistics and reports look back this long. */
const retentionDays = 30;

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
    look(findings, 'worker', () => mainWorkers(temporal)),
    ...own.map(({ queue, region }) =>
      look(findings, 'worker', () => regionWorkers(temporal, queue, region)),
    ),
  ]);
}
