/** Commands that only read a cluster: what could be gone back to, and the pods. */
import { Clusters, type Cluster } from '../../activities/kubernetes/api.ts';
import { follow } from '../../activities/kubernetes/follow.ts';
import { podsPath, readPods, readySince, type Pod } from '../../activities/kubernetes/pods.ts';
import {
  changeCauseAnnotation,
  readHistory,
  selectorOf,
  type RevisionHistory,
} from '../../activities/kubernetes/deployment/revisions.ts';
import { imagesOf } from '../../activities/kubernetes/templates.ts';
import { loadSettings } from '../../config/settings.ts';
import { namespaceName, objectName } from '../../contract/input.ts';
import { CliError } from '../errors.ts';
import { age, paint, printJson, printLine, table } from '../output.ts';
import { helmHistory } from './helm-history.ts';
import { printRevisions } from './revisions.ts';
import { statefulSetHistory } from './stateful-set-history.ts';

export interface ClusterOptions {
  namespace?: string;
  context?: string;
  json?: boolean;
}

/** Prints what could be gone back to: revisions, a schema's versions or a database's backups, newest first. */
export async function history(target: string, options: ClusterOptions): Promise<number> {
  const [, release] = /^(?:helm|release)\/(.*)$/.exec(target) ?? [];
  if (release !== undefined) return helmHistory(release, options);
  const [, statefulSet] = /^(?:statefulset|sts)\/(.*)$/.exec(target) ?? [];
  if (statefulSet !== undefined) return statefulSetHistory(statefulSet, options);
  const [, ofData, key] = /^(database|schema)(?:\/(.+))?$/.exec(target) ?? [];
  if (ofData !== undefined) {
    const { databaseHistory, schemaHistory } = await import('./database-history.ts');
    return ofData === 'database' ? databaseHistory(key, options) : schemaHistory(key, options);
  }
  const name = target.replace(/^deployment\//, '');
  if (name.includes('/')) {
    throw new CliError(
      `${JSON.stringify(target)} has no history here: name deployment/NAME, statefulset/NAME, helm/RELEASE, database/NAME or schema/NAME.`,
    );
  }
  const { found } = await findDeployment(name, options);
  const revisions = found.revisions.map(({ revision, replicaSet }) => ({
    revision,
    current: revision === found.current?.revision,
    images: imagesOf(replicaSet.spec?.template),
    ready: replicaSet.status?.readyReplicas ?? 0,
    createdAt: replicaSet.metadata?.creationTimestamp,
    changeCause: replicaSet.metadata?.annotations?.[changeCauseAnnotation],
  }));
  printRevisions(revisions, options.json);
  return 0;
}

/** Prints the pods of a Deployment; with `watch`, each change of them until it is interrupted. */
export async function pods(
  name: string,
  options: ClusterOptions & { watch?: boolean },
): Promise<number> {
  const { cluster, found } = await findDeployment(name, options);
  const namespace = found.deployment.metadata?.namespace ?? '';
  if (!options.watch) {
    const items = await readPods(cluster, found.deployment);
    if (options.json) printJson(items.map(podRow));
    else printPods(items);
    return 0;
  }
  const items = new Map<string, Pod>();
  const query = { labelSelector: selectorOf(found.deployment) };
  let printed = new Map<string, string>();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  if (!options.json) printLine(paint('bold', podHead.join('  ')));
  await follow(
    cluster,
    { path: podsPath(namespace), query },
    items,
    () => {
      const rows = new Map([...items].map(([pod, item]) => [pod, podLine(item)]));
      for (const [pod, line] of rows) {
        if (printed.get(pod) === line) continue;
        if (options.json) printJson(podRow(items.get(pod) as Pod));
        else printLine(line);
      }
      for (const pod of printed.keys()) {
        if (!rows.has(pod) && !options.json) printLine(`${pod}  gone`);
      }
      printed = rows;
    },
    stop.signal,
  );
  return 0;
}

const podHead = ['POD', 'STATE', 'READY', 'RESTARTS', 'AGE', 'IMAGE'];

function podRow(pod: Pod) {
  const statuses = pod.status?.containerStatuses ?? [];
  const waiting = statuses.find(({ state }) => state?.waiting)?.state?.waiting?.reason;
  return {
    pod: pod.metadata?.name ?? '',
    state: pod.metadata?.deletionTimestamp ? 'Terminating' : (waiting ?? pod.status?.phase ?? ''),
    ready: readySince(pod) !== undefined,
    restarts: statuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
    createdAt: pod.metadata?.creationTimestamp,
    images: pod.spec?.containers.map(({ image }) => image ?? '') ?? [],
  };
}

function podCells(pod: Pod): string[] {
  const row = podRow(pod);
  const ready = row.ready ? 'yes' : 'no';
  return [
    row.pod,
    row.state,
    ready,
    String(row.restarts),
    age(row.createdAt),
    row.images.join(', '),
  ];
}

function podLine(pod: Pod): string {
  // Without the age: a line is printed again only where something changed.
  return podCells(pod)
    .filter((_, column) => podHead[column] !== 'AGE')
    .join('  ');
}

function printPods(items: Pod[]): void {
  for (const line of table(podHead, items.map(podCells))) printLine(line);
}

async function findDeployment(
  name: string,
  options: ClusterOptions,
): Promise<{ cluster: Cluster; found: RevisionHistory }> {
  const { settings } = loadSettings();
  const namespace = options.namespace ?? settings.kubernetes.namespace;
  if (!objectName.safeParse(name).success || !namespaceName.safeParse(namespace).success) {
    throw new CliError(
      `${JSON.stringify(`${namespace}/${name}`)} is no namespace and name of a Deployment.`,
    );
  }
  const cluster = new Clusters(settings.kubernetes.context).of(options.context);
  const found = await readHistory(cluster, namespace, name);
  if (found) return { cluster, found };
  throw new CliError(
    `There is no Deployment ${name} in namespace ${namespace} of context ${cluster.context}: name another with -n or --context.`,
  );
}
