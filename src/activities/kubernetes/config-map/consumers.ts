/** Who reads a ConfigMap, and who of them is restarted. */
import { hostname } from 'node:os';
import { KubernetesError, type Cluster, type ListOf } from '../api.ts';
import { objectPath, type KubernetesObject } from '../objects.ts';
import { podsPath, readPods, type Pod } from '../pods.ts';
import type { Deployment, StatefulSet, Workload, WorkloadKind } from '../restart/workload.ts';
import type { PodTemplate } from '../templates.ts';
import { configMapsOf, type Reading } from './references.ts';

export interface Consumer {
  kind: WorkloadKind;
  workload: Workload;
  reads: Reading;
  pods: Pod[];
}

export interface Consumers {
  /** To be restarted. */
  consumers: Consumer[];
  /** Who reads it as well and is not restarted, and why. */
  warnings: string[];
}

type Unrestarted = KubernetesObject & { spec?: { template?: PodTemplate } };

/** Finds the Deployments and StatefulSets of a namespace whose pods read the ConfigMap. */
export async function findConsumers(
  cluster: Cluster,
  namespace: string,
  configMap: string,
): Promise<Consumers> {
  const warnings: string[] = [];
  const [deployments, statefulSets, daemonSets, ownPod] = await Promise.all([
    cluster.get<ListOf<Deployment>>(objectPath('deployment', namespace)),
    cluster.get<ListOf<StatefulSet>>(objectPath('statefulset', namespace)),
    readDaemonSets(cluster, namespace, warnings),
    readOwnPod(cluster, namespace),
  ]);
  const found = [
    ...deployments.items.map((workload) => ({ kind: 'deployment' as const, workload })),
    ...statefulSets.items.map((workload) => ({ kind: 'statefulset' as const, workload })),
  ].flatMap(({ kind, workload }) => {
    const reads = configMapsOf(workload.spec?.template).get(configMap);
    return reads ? [{ kind, workload, reads }] : [];
  });
  for (const { metadata, spec } of daemonSets) {
    if (!configMapsOf(spec?.template).has(configMap)) continue;
    warnings.push(
      `DaemonSet ${metadata?.name} reads ConfigMap ${configMap} as well and is not restarted: see to it with kubectl rollout restart.`,
    );
  }
  const consumers = await Promise.all(
    found.map(async (consumer) => ({
      ...consumer,
      pods: await readPods(cluster, consumer.workload),
    })),
  );
  return {
    consumers: consumers.filter((consumer) => {
      const why = whyNotRestarted(consumer, ownPod);
      if (why) warnings.push(`${nameOf(consumer)} reads it as well and is not restarted: ${why}.`);
      return why === undefined && consumer.pods.length > 0;
    }),
    warnings,
  };
}

export function nameOf({ kind, workload }: Pick<Consumer, 'kind' | 'workload'>): string {
  return `${kind === 'deployment' ? 'Deployment' : 'StatefulSet'} ${workload.metadata?.name}`;
}

function whyNotRestarted(
  { workload, pods }: Consumer,
  ownPod: string | undefined,
): string | undefined {
  if (pods.some(({ metadata }) => metadata?.uid !== undefined && metadata.uid === ownPod)) {
    return 'this very worker runs in it';
  }
  const spec: { paused?: boolean; updateStrategy?: { type?: string } } = workload.spec ?? {};
  if (spec.paused) return 'it is paused, and a restart would wait for its resume';
  if (spec.updateStrategy?.type === 'OnDelete') {
    return 'its update strategy is OnDelete, so its pods must be deleted by hand';
  }
  return undefined;
}

/** UID of the pod that this process runs in; undefined where it runs elsewhere. */
async function readOwnPod(cluster: Cluster, namespace: string): Promise<string | undefined> {
  const name = process.env.HOSTNAME ?? hostname();
  const query = { fieldSelector: `metadata.name=${name}` };
  const { items } = await cluster.get<ListOf<Pod>>(podsPath(namespace), query);
  return items[0]?.metadata?.uid;
}

async function readDaemonSets(
  cluster: Cluster,
  namespace: string,
  warnings: string[],
): Promise<Unrestarted[]> {
  try {
    const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets`;
    return (await cluster.get<ListOf<Unrestarted>>(path)).items;
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 403) throw error;
    warnings.push(
      'The worker may not list DaemonSets, so it cannot tell whether one reads the ConfigMap.',
    );
    return [];
  }
}
