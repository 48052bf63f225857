import type { V1Pod } from '@kubernetes/client-node';
import type { Cluster, ListOf, Wire } from './api.ts';
import type { KubernetesObject } from './objects.ts';
import { resolvePercentage } from './quantity.ts';
import { selectorOf, type Deployment } from './deployment/revisions.ts';

export type Pod = Wire<V1Pod>;

export function podsPath(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/pods`;
}

/** Pods that the selector of a Deployment, or of a StatefulSet, matches, of every revision. */
export async function readPods(
  cluster: Cluster,
  workload: KubernetesObject & Parameters<typeof selectorOf>[0],
): Promise<Pod[]> {
  const path = podsPath(workload.metadata?.namespace ?? '');
  const { items } = await cluster.get<ListOf<Pod>>(path, { labelSelector: selectorOf(workload) });
  return items;
}

/** When the pod became ready, as the API server wrote it; undefined for a pod that is not ready. */
export function readySince(pod: Pod): string | undefined {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' ? ready.lastTransitionTime : undefined;
}

/** Seconds since a time of the API server; undefined for none. */
export function secondsSince(time: string | undefined): number | undefined {
  return time === undefined ? undefined : (Date.now() - Date.parse(time)) / 1000;
}

/** Expected duration of a rollout in seconds: the median start of today's pods, times the waves. */
export function estimateSeconds(deployment: Deployment, pods: Pod[], surge: boolean): number {
  const { replicas = 1, minReadySeconds = 0, strategy } = deployment.spec ?? {};
  const starts = pods
    .map((pod) => {
      const ready = readySince(pod);
      const created = pod.metadata?.creationTimestamp;
      return ready && created ? (Date.parse(ready) - Date.parse(created)) / 1000 : undefined;
    })
    .filter((seconds) => seconds !== undefined)
    .sort((one, other) => one - other);
  const start = (starts[Math.floor(starts.length / 2)] ?? 10) + minReadySeconds;
  const rolling = strategy?.rollingUpdate;
  const wave =
    resolvePercentage(rolling?.maxSurge, replicas, 'up') +
    resolvePercentage(rolling?.maxUnavailable, replicas, 'down');
  const waves =
    surge || strategy?.type === 'Recreate' ? 1 : Math.ceil(replicas / Math.max(1, wave));
  return Math.max(1, Math.round(start * waves + 1));
}
