import type { Cluster, ListOf } from './api.ts';
import type { Obstacle } from './deployment/obstacles.ts';

/** Whether a cluster autoscaler has said that it makes room for the pod. */
export async function scaleUpIsOnItsWay(
  cluster: Cluster,
  namespace: string,
  { pod }: Obstacle,
): Promise<boolean> {
  if (!pod) return false;
  const events = await cluster.get<ListOf<{ reason?: string }>>(
    `/api/v1/namespaces/${namespace}/events`,
    { fieldSelector: `involvedObject.name=${pod}` },
  );
  return events.items.some(({ reason }) => reason === 'TriggeredScaleUp');
}
