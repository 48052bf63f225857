import { Clusters } from '../../activities/kubernetes/api.ts';
import { changeCauseAnnotation } from '../../activities/kubernetes/deployment/revisions.ts';
import { imagesOf } from '../../activities/kubernetes/templates.ts';
import { isReady, readOwnPods, revisionOf } from '../../activities/kubernetes/stateful-set/pods.ts';
import {
  readStatefulSetHistory,
  templateOf,
} from '../../activities/kubernetes/stateful-set/revisions.ts';
import { loadSettings } from '../../config/settings.ts';
import { namespaceName, objectName } from '../../contract/input.ts';
import { CliError } from '../errors.ts';
import type { ClusterOptions } from './cluster.ts';
import { printRevisions } from './revisions.ts';

/** Prints a StatefulSet's revisions, newest first, with the pods of each that are ready. */
export async function statefulSetHistory(name: string, options: ClusterOptions): Promise<number> {
  const { settings } = loadSettings();
  const namespace = options.namespace ?? settings.kubernetes.namespace;
  if (!objectName.safeParse(name).success || !namespaceName.safeParse(namespace).success) {
    throw new CliError(
      `${JSON.stringify(`${namespace}/${name}`)} is no namespace and name of a StatefulSet.`,
    );
  }
  const cluster = new Clusters(settings.kubernetes.context).of(options.context);
  const found = await readStatefulSetHistory(cluster, namespace, name);
  if (!found) {
    throw new CliError(
      `There is no StatefulSet ${name} in namespace ${namespace} of context ${cluster.context}: name another with -n or --context.`,
    );
  }
  const pods = (await readOwnPods(cluster, found.statefulSet)).filter(isReady);
  const revisions = found.revisions.map((entry) => ({
    revision: entry.revision,
    current: entry === found.current,
    images: imagesOf(templateOf(entry.controllerRevision)),
    ready: pods.filter((pod) => revisionOf(pod) === entry.name).length,
    createdAt: entry.controllerRevision.metadata?.creationTimestamp,
    changeCause: entry.controllerRevision.metadata?.annotations?.[changeCauseAnnotation],
  }));
  printRevisions(revisions, options.json);
  return 0;
}
