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
import { isObserved } from '../kubernetes/objects.ts';
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

interface RolloutState {
  /** Whether the status speaks of the newest spec. */
  observed: boolean;
  complete: boolean;
  available: number;
  wanted: number;
  text: string;
}

interface WorkloadKind {
  plural: string;
  stateOf: (object: never) => RolloutState;
  obstacleTo: (cluster: Cluster, object: never) => Promise<Obstacle | undefined>;
}

const kinds: Record<string, WorkloadKind> = {
  Deployment: {
    plural: 'deployments',
    stateOf: rolloutState,
    obstacleTo: async (cluster: Cluster, deployment: Deployment) =>
      findObstacle(deployment, await newPods(cluster, deployment)),
  },
  StatefulSet: { plural: 'statefulsets', stateOf: statefulSetState, obstacleTo: stuckPod },
  DaemonSet: { plural: 'daemonsets', stateOf: daemonSetState, obstacleTo: stuckPod },
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
      apiVersion.startsWith('apps/') && kind in kinds && spec?.paused !== true,
  );
  return Promise.all(
    workloads.map(({ kind, metadata }) =>
      readWorkload(
        cluster,
        kinds[kind] as WorkloadKind,
        metadata.namespace ?? releaseNamespace,
        `${kind} ${metadata.name}`,
      ),
    ),
  );
}

async function readWorkload(
  cluster: Cluster,
  { plural, stateOf, obstacleTo }: WorkloadKind,
  namespace: string,
  name: string,
): Promise<WorkloadState> {
  const path = `/apis/apps/v1/namespaces/${namespace}/${plural}/${name.split(' ')[1]}`;
  const found = await cluster.find(path);
  if (!found) {
    return {
      ...{ name, complete: false, available: 0, wanted: 1, text: `${name} is not there` },
      findObstacle: () => Promise.resolve(undefined),
    };
  }
  const { observed, complete, available, wanted, text } = stateOf(found as never);
  return {
    ...{ name, complete, available, wanted, text: `${name}: ${text}` },
    // A status that does not speak of the newest spec is about the version before.
    findObstacle: () =>
      observed ? obstacleTo(cluster, found as never) : Promise.resolve(undefined),
  };
}

function statefulSetState(statefulSet: StatefulSet): RolloutState {
  const { spec, status } = statefulSet;
  const wanted = spec?.replicas ?? 1;
  const { partition = 0 } = spec?.updateStrategy?.rollingUpdate ?? {};
  const onDelete = spec?.updateStrategy?.type === 'OnDelete';
  const observed = isObserved(statefulSet);
  const available = observed ? (status?.availableReplicas ?? 0) : 0;
  const updated = observed ? (status?.updatedReplicas ?? 0) : 0;
  const isUpdated = onDelete || updated >= wanted - partition;
  return {
    ...{ observed, complete: observed && isUpdated && available >= wanted, available, wanted },
    text: `${available} of ${wanted} pods available, ${updated} of them new`,
  };
}

function daemonSetState(daemonSet: DaemonSet): RolloutState {
  const { spec, status } = daemonSet;
  const wanted = status?.desiredNumberScheduled ?? 0;
  const onDelete = spec?.updateStrategy?.type === 'OnDelete';
  const observed = isObserved(daemonSet);
  const available = observed ? (status?.numberAvailable ?? 0) : 0;
  const updated = observed ? (status?.updatedNumberScheduled ?? 0) : 0;
  const isUpdated = onDelete || updated >= wanted;
  return {
    ...{ observed, complete: observed && isUpdated && available >= wanted, available, wanted },
    text: `${available} of ${wanted} pods available, ${updated} of them new`,
  };
}

/** Pods of the revision that a Deployment rolls out; those of earlier ones are not in its way. */
async function newPods(cluster: Cluster, { metadata }: Deployment): Promise<Pod[]> {
  const { namespace = '', name = '' } = metadata ?? {};
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
async function stuckPod(
  cluster: Cluster,
  workload: StatefulSet | DaemonSet,
): Promise<Obstacle | undefined> {
  const namespace = workload.metadata?.namespace ?? '';
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
