import {
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  type V1EndpointSlice,
  type V1Pod,
} from '@kubernetes/client-node';
import { followObjects } from './watch.ts';

/** The Service whose pods answer requests. */
export const service = { namespace: 'production', name: 'wakala-api' };

/** One of the ready pods behind the Service. */
export interface ReadyPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
  readonly image: string;
  /** When it became ready, in ms of the epoch. */
  readonly since: number;
}

/** What this process knows of the cluster. */
export interface Cluster {
  /** The ready pods that the Service's EndpointSlices name. */
  readyPods(): readonly ReadyPod[];
  /** A pod by its namespace and name. */
  pod(namespace: string, name: string): V1Pod | undefined;
}

/** Told of pods that come, change and go. */
export interface PodObserver {
  onPod(pod: V1Pod): void;
  onPodGone(uid: string): void;
}

/** Watches the cluster of the kubeconfig, from now on and over restarts of the API server. */
export function watchCluster(observer: PodObserver): Cluster {
  const config = new KubeConfig();
  config.loadFromDefault();
  const pods = new Map<string, V1Pod>();
  const slices = new Map<string, V1EndpointSlice>();
  let ready: readonly ReadyPod[] | undefined;

  const put = (pod: V1Pod) => {
    const earlier = pods.get(keyOf(pod));
    if (earlier && uidOf(earlier) !== uidOf(pod)) observer.onPodGone(uidOf(earlier));
    pods.set(keyOf(pod), pod);
    ready = undefined;
    observer.onPod(pod);
  };
  const remove = (pod: V1Pod) => {
    pods.delete(keyOf(pod));
    ready = undefined;
    observer.onPodGone(uidOf(pod));
  };
  const core = config.makeApiClient(CoreV1Api);
  void followObjects(config, '/api/v1/pods', {}, () => core.listPodForAllNamespaces(), {
    replace(all) {
      const present = new Set(all.map(uidOf));
      for (const pod of [...pods.values()]) if (!present.has(uidOf(pod))) remove(pod);
      for (const pod of all) put(pod);
    },
    put,
    remove,
  });

  const discovery = config.makeApiClient(DiscoveryV1Api);
  const { namespace, name } = service;
  const labelSelector = `kubernetes.io/service-name=${name}`;
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
  const list = () => discovery.listNamespacedEndpointSlice({ namespace, labelSelector });
  void followObjects(config, path, { labelSelector }, list, {
    replace(all) {
      slices.clear();
      for (const slice of all) slices.set(keyOf(slice), slice);
      ready = undefined;
    },
    put(slice) {
      slices.set(keyOf(slice), slice);
      ready = undefined;
    },
    remove(slice) {
      slices.delete(keyOf(slice));
      ready = undefined;
    },
  });

  return {
    readyPods: () => (ready ??= findReadyPods([...slices.values()], pods)),
    pod: (inNamespace, podName) => pods.get(`${inNamespace}/${podName}`),
  };
}

function findReadyPods(
  slices: readonly V1EndpointSlice[],
  pods: ReadonlyMap<string, V1Pod>,
): ReadyPod[] {
  return slices.flatMap((slice) =>
    (slice.endpoints ?? []).flatMap(({ conditions, targetRef }) => {
      const pod = pods.get(`${targetRef?.namespace}/${targetRef?.name}`);
      const container = pod?.spec?.containers[0];
      if (!conditions?.ready || !pod || !container?.image) return [];
      const readiness = pod.status?.conditions?.find(({ type }) => type === 'Ready');
      return {
        uid: uidOf(pod),
        namespace: service.namespace,
        name: pod.metadata?.name ?? '',
        container: container.name,
        image: container.image,
        since: new Date(readiness?.lastTransitionTime ?? Date.now()).getTime(),
      };
    }),
  );
}

function keyOf({ metadata }: V1Pod | V1EndpointSlice): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}

function uidOf({ metadata }: V1Pod): string {
  return metadata?.uid ?? '';
}
