import type { TargetKind } from '../../contract/plan.ts';
import type { Cluster, ListOf } from './api.ts';
import { kindAndName, type KubernetesObject, objectPath } from './objects.ts';

/** Names that are told at most. */
const mostNames = 10;

/** That there is no object of this name, and what there is in its stead: the name may be mistyped. */
export async function missing(
  cluster: Cluster,
  kind: 'deployment' | 'service' | 'statefulset',
  namespace: string,
  name: string,
): Promise<string> {
  if (!(await cluster.find(`/api/v1/namespaces/${namespace}`))) {
    return `There is no namespace ${namespace} in context ${cluster.context}: name another with --namespace.`;
  }
  const named = { metadata: { name } };
  const what = `There is no ${kindAndName(kind, named)} in namespace ${namespace}`;
  const other = kind === 'deployment' ? 'statefulset' : 'deployment';
  if (kind !== 'service' && (await isThere(cluster, other, namespace, name))) {
    return `${what}, but ${kindAndName(other, named)}: rollback ${other} ${name}.`;
  }
  const { items, metadata } = await cluster.get<
    ListOf<KubernetesObject> & { metadata: { remainingItemCount?: number } }
  >(objectPath(kind, namespace), { limit: mostNames });
  if (items.length === 0) return `${what}, nor any other.`;
  const names = items.map((item) => item.metadata?.name).join(', ');
  const more = metadata.remainingItemCount ? ` and ${metadata.remainingItemCount} more` : '';
  return `${what}: it has ${names}${more}.`;
}

/** False as well where it may not be read. */
async function isThere(cluster: Cluster, kind: TargetKind, namespace: string, name: string) {
  const found = cluster.find(objectPath(kind, namespace, name));
  return found.then(Boolean, () => false);
}
