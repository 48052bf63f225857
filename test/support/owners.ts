import type { KubernetesObject } from '../../src/activities/kubernetes/objects.ts';
import type { TestCluster } from './cluster.ts';

export interface OwnerObject extends KubernetesObject {
  spec: Record<string, unknown>;
}

/** An object of any kind, as kubectl names it. */
export async function read(cluster: TestCluster, kind: string, name: string): Promise<OwnerObject> {
  return cluster.get<OwnerObject>(kind, name);
}

/** Labels and annotations, without the note by which a run knows its own change. */
export function marksOf({ metadata }: KubernetesObject): object {
  const { labels = {}, annotations = {} } = metadata ?? {};
  const { 'rollback-workflows/changed-by': _, ...others } = annotations;
  return { labels, annotations: others };
}
