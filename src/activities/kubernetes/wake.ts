/**
 * A controller that was refused pods backs off, for the longer the longer it was refused them, up to a
 * quarter of an hour; a change of its object wakes it at once.
 */
import type { Cluster } from './api.ts';
import { type Deployment, readReplicaSets } from './deployment/revisions.ts';
import { annotationPointer, type KubernetesObject, objectPath } from './objects.ts';

const wokenAnnotation = 'rollback-workflows/woken';

/** Wakes those of a Deployment's ReplicaSets that lack pods. */
export async function wakeReplicaSets(cluster: Cluster, deployment: Deployment): Promise<void> {
  const sets = await readReplicaSets(cluster, deployment);
  const lacking = sets.filter(
    ({ spec, status }) => (spec?.replicas ?? 0) > (status?.replicas ?? 0),
  );
  const { namespace } = deployment.metadata ?? {};
  await Promise.all(
    lacking.map(({ metadata }) =>
      wake(cluster, `/apis/apps/v1/namespaces/${namespace}/replicasets/${metadata?.name}`),
    ),
  );
}

export async function wakeStatefulSet(
  cluster: Cluster,
  { metadata }: KubernetesObject,
): Promise<void> {
  await wake(cluster, objectPath('statefulset', metadata?.namespace ?? '', metadata?.name));
}

/** Both kinds have annotations: of their controller, or of the run that drives them. */
async function wake(cluster: Cluster, path: string): Promise<void> {
  const value = new Date().toISOString();
  await cluster.patch(path, [{ op: 'add', path: annotationPointer(wokenAnnotation), value }]);
}
