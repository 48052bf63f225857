/** Workloads of a release: how far their rollouts are, and what is in the way. */
import type { V1DaemonSet, V1StatefulSet } from '@kubernetes/client-node';
import { KubernetesError, type Cluster, type ListOf, type Wire } from '../kubernetes/api.ts';
import { findObstacle, type Obstacle } from '../kubernetes/deployment/obstacles.ts';
import {
  podTemplateHash,
  readHistory,
  selectorOf,
  type Deployment,
} from '../kubernetes/deployment/revisions.ts';
import { rolloutState } from '../kubernetes/deployment/rollout-state.ts';
import { podsPath, type Pod } from '../kubernetes/pods.ts';
import type { ManifestObject } from './manifest.ts';

type StatefulSet = Wire<V1StatefulSet>;
type DaemonSet = Wire<V1DaemonSet>;

/** One workload of the manifest as it is in the cluster. */
export interface WorkloadState {
  /** `Deployment wakala-api` */
  name: string;
  complete: boolean;
  available: number;
  wanted: number;
  text: string;
  /** Looks for what is in the way of its new pods. */
  findObstacle: () => Promise<Obstacle | undefined>;
}

const plurals: Record<string, string> = {
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  DaemonSet: 'daemonsets',
};

/**
 * Reads the workloads of a manifest; complete under the same conditions as `kubectl rollout status`.
 * A Deployment that its chart has paused rolls out nothing, and is left out.
 */
export async function readWorkloads(
  cluster: Cluster,
  releaseNamespace: string,
  manifest: ReadonlyMap<string, ManifestObject>,
): Promise<WorkloadState[]> {
  const workloads = [...manifest.values()].filter(
    ({ apiVersion, kind, spec }) =>
      apiVersion.startsWith('apps/') && kind in plurals && spec?.paused !== true,
  );
  return Promise.all(
    workloads.map(({ kind, metadata }) =>
      readWorkload(cluster, kind, metadata.namespace ?? releaseNamespace, metadata.name),
    ),
  );
}

async function readWorkload(
  cluster: Cluster,
  kind: string,
  namespace: string,
  name: string,
): Promise<WorkloadState> {
  const path = `/apis/apps/v1/namespaces/${namespace}/${plurals[kind]}/${name}`;
  const found = await cluster.find<Deployment | StatefulSet | DaemonSet>(path);
  const what = `${kind} ${name}`;
  if (!found) {
    const text = `${what} is not there`;
    return {
      ...{ name: what, complete: false, available: 0, wanted: 1, text },
      findObstacle: () => Promise.resolve(undefined),
    };
  }
  const state =
    kind === 'Deployment'
      ? rolloutState(found)
      : kind === 'StatefulSet'
        ? statefulSetState(found as StatefulSet)
        : daemonSetState(found as DaemonSet);
  return {
    ...{ name: what, complete: state.complete, available: state.available, wanted: state.wanted },
    text: `${what}: ${state.text}`,
    findObstacle: async () =>
      // Conditions of a status that does not speak of the newest spec are about the version before.
      kind === 'Deployment' && !state.observed
        ? undefined
        : kind === 'Deployment'
          ? findObstacle(found, await newPods(cluster, namespace, name))
          : podObstacle(cluster, namespace, found as StatefulSet | DaemonSet),
  };
}

function statefulSetState({ metadata, spec, status }: StatefulSet) {
  const wanted = spec?.replicas ?? 1;
  const { partition = 0 } = spec?.updateStrategy?.rollingUpdate ?? {};
  const onDelete = spec?.updateStrategy?.type === 'OnDelete';
  const observed = (metadata?.generation ?? 0) <= (status?.observedGeneration ?? 0);
  const available = observed ? (status?.availableReplicas ?? 0) : 0;
  const updated = observed ? (status?.updatedReplicas ?? 0) : 0;
  const isUpdated = onDelete || updated >= wanted - partition;
  return {
    ...{ observed, complete: observed && isUpdated && available >= wanted, available, wanted },
    text: `${available} of ${wanted} pods available, ${updated} of them new`,
  };
}

function daemonSetState({ metadata, spec, status }: DaemonSet) {
  const wanted = status?.desiredNumberScheduled ?? 0;
  const onDelete = spec?.updateStrategy?.type === 'OnDelete';
  const observed = (metadata?.generation ?? 0) <= (status?.observedGeneration ?? 0);
  const available = observed ? (status?.numberAvailable ?? 0) : 0;
  const updated = observed ? (status?.updatedNumberScheduled ?? 0) : 0;
  const isUpdated = onDelete || updated >= wanted;
  return {
    ...{ observed, complete: observed && isUpdated && available >= wanted, available, wanted },
    text: `${available} of ${wanted} pods available, ${updated} of them new`,
  };
}

/** Pods of the revision that a Deployment rolls out; those of earlier ones are not in its way. */
async function newPods(cluster: Cluster, namespace: string, name: string): Promise<Pod[]> {
  const history = await readHistory(cluster, namespace, name);
  if (!history?.current) return [];
  const hash = podTemplateHash(history.current.replicaSet);
  const labelSelector = `${selectorOf(history.deployment)},pod-template-hash=${hash}`;
  return (await cluster.get<ListOf<Pod>>(podsPath(namespace), { labelSelector })).items;
}

/**
 * Of a StatefulSet or DaemonSet: a pod that is stuck. One of the version that is left holds a
 * StatefulSet up as well, since its controller waits for each pod before it replaces the next
 * (kubernetes#67250).
 */
async function podObstacle(
  cluster: Cluster,
  namespace: string,
  workload: StatefulSet | DaemonSet,
): Promise<Obstacle | undefined> {
  const { items } = await cluster.get<ListOf<Pod>>(podsPath(namespace), {
    labelSelector: selectorOf(workload),
  });
  const updateRevision = (workload as StatefulSet).status?.updateRevision;
  const isNew = ({ metadata }: Pod) =>
    updateRevision === undefined ||
    metadata?.labels?.['controller-revision-hash'] === updateRevision;
  const ofNew = findObstacle({}, items.filter(isNew));
  if (ofNew) return ofNew;
  const ofOld = findObstacle(
    {},
    items.filter((pod) => !isNew(pod)),
  );
  return (
    ofOld && {
      ...ofOld,
      text: `${ofOld.text}; it is of the version that is left, and its controller does not replace it: kubectl delete pod ${ofOld.pod} -n ${namespace}`,
    }
  );
}

/** The first obstacle in the way of any of the workloads that are not complete. */
export async function firstObstacle(
  workloads: readonly WorkloadState[],
): Promise<Obstacle | undefined> {
  const found = await Promise.all(
    workloads.filter(({ complete }) => !complete).map((workload) => tryFind(workload)),
  );
  return found.find(Boolean);
}

/** How far all of them are together. */
export function progressOf(workloads: readonly WorkloadState[]): {
  text: string;
  available: number;
  wanted: number;
} {
  const open = workloads.filter(({ complete }) => !complete);
  const sum = (key: 'available' | 'wanted') =>
    workloads.reduce((total, workload) => total + workload[key], 0);
  const [available, wanted] = [sum('available'), sum('wanted')];
  const text = open.length > 0 ? open.map((one) => one.text).join('; ') : 'all pods are available';
  return { text, available, wanted };
}

/** What is in the way is told where it may be seen; a worker that may not look still waits. */
async function tryFind(workload: WorkloadState): Promise<Obstacle | undefined> {
  try {
    return await workload.findObstacle();
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 403) return undefined;
    throw error;
  }
}
