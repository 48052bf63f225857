/** Argo Rollouts' Rollout, as far as it runs the pods of a Deployment (`workloadRef`). */
import type { KubernetesObject } from '../kubernetes/objects.ts';

export interface Rollout extends KubernetesObject {
  spec?: {
    replicas?: number;
    paused?: boolean;
    selector?: { matchLabels?: Record<string, string> };
    workloadRef?: { kind?: string; name?: string };
    strategy?: { canary?: object; blueGreen?: object };
  };
  status?: {
    phase?: string;
    message?: string;
    abort?: boolean;
    promoteFull?: boolean;
    observedGeneration?: string;
    workloadObservedGeneration?: string;
    /** Template hashes: of the newest template, and of the one that is fully promoted. */
    currentPodHash?: string;
    stableRS?: string;
    updatedReplicas?: number;
    availableReplicas?: number;
  };
}

interface Named {
  name?: string;
}

/** Where a canary's weights are set, by Istio or by a plugin such as that of the Gateway API. */
interface TrafficRouting {
  istio?: { virtualService?: Named; virtualServices?: Named[] };
  plugins?: Record<string, { httpRoute?: string; httpRoutes?: Named[] } | undefined>;
}

/** Whether a Rollout sets the weights of one of these routers, by their names. */
export function setsWeightsOf({ spec }: Rollout, routers: readonly string[]): boolean {
  const { trafficRouting } = (spec?.strategy?.canary ?? {}) as { trafficRouting?: TrafficRouting };
  const { istio, plugins } = trafficRouting ?? {};
  const named = [
    ...[istio?.virtualService, ...(istio?.virtualServices ?? [])].map((one) => one?.name),
    ...Object.values(plugins ?? {}).flatMap((plugin) => [
      plugin?.httpRoute,
      ...(plugin?.httpRoutes ?? []).map(({ name }) => name),
    ]),
  ];
  return named.some((name) => name !== undefined && routers.includes(name));
}

/** Label of a Rollout's ReplicaSets and pods with the hash of their template. */
export const rolloutHashLabel = 'rollouts-pod-template-hash';
const managedBy = 'argo-rollouts.argoproj.io/managed-by-rollouts';

export function rolloutsPath(namespace: string): string {
  return `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/rollouts`;
}

/** The Rollout that runs the pods of this workload. */
export function rolloutOf(
  rollouts: readonly Rollout[],
  { kind, metadata }: KubernetesObject,
): Rollout | undefined {
  return rollouts.find(
    ({ spec }) => spec?.workloadRef?.kind === kind && spec?.workloadRef?.name === metadata?.name,
  );
}

/** Name of the Rollout that sets the selector of this Service. */
export function rolloutOfService({ kind, metadata }: KubernetesObject): string | undefined {
  return kind === 'Service' ? metadata?.annotations?.[managedBy] : undefined;
}

/** Whether the newest template is promoted: all pods are of it, and all traffic goes there. */
export function isPromoted({ status }: Rollout): boolean {
  return status?.currentPodHash !== undefined && status.currentPodHash === status.stableRS;
}
