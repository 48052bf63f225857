/**
 * A controller that was refused pods backs off, for the longer the longer it was refused them, up to a
 * quarter of an hour; a change of its object wakes it at once.
 */
import type { Cluster, ListOf } from './api.ts';
import { type Deployment, isOwnedBy, type ReplicaSet, selectorOf } from './deployment/revisions.ts';
import { annotationPointer, objectPath } from './objects.ts';
import type { StatefulSet } from './stateful-set/revisions.ts';

const wokenAnnotation = 'rollback-workflows/woken';

/** Wakes those of a Deployment's ReplicaSets that lack pods. */
export async function wakeReplicaSets(
  cluster: Cluster,
  { metadata, spec }: Deployment,
): Promise<void> {
  const { namespace = '', uid } = metadata ?? {};
  const path = `/apis/apps/v1/namespaces/${namespace}/replicasets`;
  const labelSelector = selectorOf({ spec });
  const { items } = await cluster.get<ListOf<ReplicaSet>>(path, { labelSelector });
  const lacking = items.filter(
    (set) => isOwnedBy(set, uid) && (set.spec?.replicas ?? 0) > (set.status?.replicas ?? 0),
  );
  await Promise.all(lacking.map((set) => wake(cluster, `${path}/${set.metadata?.name}`)));
}

export async function wakeStatefulSet(cluster: Cluster, { metadata }: StatefulSet): Promise<void> {
  await wake(cluster, objectPath('statefulset', metadata?.namespace ?? '', metadata?.name));
}

/** Both kinds have annotations: of their controller, or of the run that drives them. */
async function wake(cluster: Cluster, path: string): Promise<void> {
  const value = new Date().toISOString();
  await cluster.patch(path, [{ op: 'add', path: annotationPointer(wokenAnnotation), value }]);
}
