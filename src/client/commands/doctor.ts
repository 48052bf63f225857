/** `rollback doctor`: whether everything is there that a rollback will need, before it is needed. */
import { WorkflowNotFoundError } from '@temporalio/client';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Clusters, type Cluster, type ListOf } from '../../activities/kubernetes/api.ts';
import { keptStrategy } from '../../activities/kubernetes/deployment/annotations.ts';
import { putStrategyBack } from '../../activities/kubernetes/deployment/hand-back-deployment.ts';
import type { Deployment } from '../../activities/kubernetes/deployment/revisions.ts';
import { type LoadedSettings, loadSettings } from '../../config/settings.ts';
import type { RunIdentity } from '../../contract/plan.ts';
import { taskQueue } from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { checkAuthority } from '../check-authority.ts';
import { checkDatabases } from '../check-databases.ts';
import { checkFeatures } from '../check-features.ts';
import { checkOwners } from '../check-owners.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from '../findings.ts';
import { paint, printJson, printLine } from '../output.ts';
import { answerWithinMs, connectTemporal, explain, type Temporal } from '../temporal.ts';

export interface DoctorOptions {
  mend?: boolean;
  json?: boolean;
}

const day = 86_400;
/** Statistics and reports look back this long. */
const retentionDays = 30;
/**
 * What the plan and the steps of a rollback ask of a namespace; deploy/kubernetes-role.yaml grants
 * it. Without one of these a rollback fails, or goes slower than it could.
 */
const permissions = [
  ...['get', 'list', 'watch', 'patch'].map((verb) => inNamespace(verb, 'apps', 'deployments')),
  ...['list', 'patch'].map((verb) => inNamespace(verb, 'apps', 'replicasets')),
  ...['list', 'watch'].map((verb) => inNamespace(verb, '', 'pods')),
  inNamespace('get', '', 'pods', 'log'),
  ...['resourcequotas', 'limitranges', 'events'].map((kind) => inNamespace('list', '', kind)),
];

/** What the rollback of a StatefulSet asks for beside that. */
const statefulSetPermissions = [
  ...['get', 'list', 'watch', 'patch'].map((verb) => inNamespace(verb, 'apps', 'statefulsets')),
  inNamespace('list', 'apps', 'controllerrevisions'),
  inNamespace('delete', '', 'pods'),
  ...['get', 'create'].map((verb) => inNamespace(verb, '', 'pods', 'exec')),
];

function inNamespace(verb: string, group: string, resource: string, subresource?: string) {
  return { verb, group, resource, subresource };
}

/** Checks and prints, a line each; exit code 1 where something is missing. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const findings: Finding[] = [];
  const settings = await look(findings, 'settings', () => {
    const loaded = loadSettings();
    const services = Object.keys(loaded.settings.services);
    return Promise.resolve([loaded, `${loaded.file}: services ${services.join(', ') || 'none'}`]);
  });
  const temporal = connectTemporal();
  try {
    await checkTemporal(findings, temporal);
    if (settings) await checkCommands(findings, settings);
    if (settings) await checkAuthority(findings, settings, temporal.address);
    if (settings) await checkFeatures(findings, settings);
    if (settings) await checkDatabases(findings, settings);
    if (settings) await checkCluster(findings, settings, temporal, options.mend === true);
  } finally {
    await temporal.close();
  }
  if (options.json) printJson(findings);
  else {
    for (const { what, ok, text } of findings) {
      printLine(`${ok ? paint('green', '✓') : paint('red', '✗')} ${what.padEnd(18)} ${text}`);
    }
  }
  return findings.every(({ ok }) => ok) ? 0 : 1;
}

async function checkTemporal(findings: Finding[], temporal: Temporal): Promise<void> {
  const { client, address, namespace } = temporal;
  const service = client.connection.workflowService;
  const within = <T>(call: () => Promise<T>) =>
    client.withDeadline(Date.now() + answerWithinMs, call).catch((error: unknown) => {
      throw explain(error, temporal);
    });
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
  await look(findings, 'search attributes', async () => {
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
  await look(findings, 'worker', async () => {
    const { pollers } = await within(() =>
      service.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: 1 }),
    );
    if (!pollers?.length)
      throw new CliError(`none polls task queue ${taskQueue}: start one with npm run worker`);
    const seen = pollers.map(({ identity, lastAccessTime }) => {
      return { identity, seconds: Date.now() / 1000 - Number(lastAccessTime?.seconds ?? 0) };
    });
    // A worker asks anew at least once a minute; the server remembers those that are gone for five.
    const alive = seen.filter(({ seconds }) => seconds < 70).map(({ identity }) => identity);
    if (alive.length > 0) return [true, alive.join(', ')];
    const last = Math.round(Math.min(...seen.map(({ seconds }) => seconds)));
    throw new CliError(`the last one was seen ${last} s ago: start one with npm run worker`);
  });
}

/** Commands of checks that are files: a relative one is relative to the settings file. */
async function checkCommands(
  findings: Finding[],
  { settings, folder }: LoadedSettings,
): Promise<void> {
  const commands = Object.values(settings.services).flatMap(({ checks: { smoke } }) => {
    const [program = ''] = smoke?.command ?? [];
    return program.includes('/') ? [resolve(folder, program)] : [];
  });
  if (commands.length === 0) return;
  await look(findings, 'check commands', () => {
    const missing = commands.filter((file) => !existsSync(file));
    if (missing.length === 0) return Promise.resolve([true, commands.join(', ')]);
    throw new CliError(
      `not on this machine: ${missing.join(', ')}; a relative command is relative to the settings file`,
    );
  });
}

async function checkCluster(
  findings: Finding[],
  { settings }: LoadedSettings,
  temporal: Temporal,
  mend: boolean,
): Promise<void> {
  const cluster = await look(findings, 'kubernetes', async () => {
    const found = new Clusters(settings.kubernetes.context).of(undefined);
    const { gitVersion } = await found.get<{ gitVersion: string }>('/version');
    return [found, `${found.server}, context ${found.context}, ${gitVersion}`];
  });
  if (!cluster) return;
  const services = Object.values(settings.services);
  const namespaces = new Set([
    settings.kubernetes.namespace,
    ...services.map(({ namespace }) => namespace ?? settings.kubernetes.namespace),
  ]);
  for (const namespace of namespaces) {
    await look(findings, 'permissions', async () => {
      const hasState = services.some(
        (service) =>
          service.statefulSet !== undefined &&
          (service.namespace ?? settings.kubernetes.namespace) === namespace,
      );
      const refused = await refusedIn(cluster, namespace, hasState);
      if (refused.length === 0) return [true, `all that is needed in namespace ${namespace}`];
      throw new CliError(
        `missing in namespace ${namespace}: ${refused.join(', ')}; apply deploy/kubernetes-role.yaml`,
      );
    });
    await look(findings, 'left behind', () => leftBehind(cluster, namespace, temporal, mend));
  }
  await checkOwners(findings, settings);
}

async function refusedIn(
  cluster: Cluster,
  namespace: string,
  hasState: boolean,
): Promise<string[]> {
  const needed = [...permissions, ...(hasState ? statefulSetPermissions : [])];
  const reviews = await Promise.all(
    needed.map(async (attributes) => {
      const review = await cluster.create<{ status?: { allowed?: boolean } }>(
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { spec: { resourceAttributes: { namespace, ...attributes } } },
      );
      const { verb, resource, subresource } = attributes;
      const kind = [resource, subresource].filter(Boolean).join('/');
      return review.status?.allowed ? undefined : `${verb} ${kind}`;
    }),
  );
  return reviews.filter((refused) => refused !== undefined);
}

/** Deployments whose raised rollout strategy a run left there that has ended since. */
async function leftBehind(
  cluster: Cluster,
  namespace: string,
  temporal: Temporal,
  mend: boolean,
): Promise<[true, string]> {
  const { items } = await cluster.get<ListOf<Deployment>>(
    `/apis/apps/v1/namespaces/${namespace}/deployments`,
  );
  const left: string[] = [];
  for (const deployment of items) {
    const kept = keptStrategy(deployment);
    const { name = '', uid = '' } = deployment.metadata ?? {};
    if (kept && !(await isOpen(temporal, kept.run))) {
      if (!mend || !(await putStrategyBack(cluster, namespace, name, uid))) left.push(name);
    }
  }
  if (left.length === 0) return [true, `nothing in namespace ${namespace}`];
  throw new CliError(
    `a raised rollout strategy in namespace ${namespace} on ${left.join(', ')}: put it back with rollback doctor --mend`,
  );
}

async function isOpen(temporal: Temporal, run: RunIdentity): Promise<boolean> {
  try {
    const { status, raw } = await temporal.client.workflow.getHandle(run.workflowId).describe();
    return status.name === 'RUNNING' && raw.workflowExecutionInfo?.firstRunId === run.firstRunId;
  } catch (error) {
    // A run that Temporal has forgotten is over; one that it cannot tell about may still act.
    if (error instanceof WorkflowNotFoundError) return false;
    throw explain(error, temporal);
  }
}
