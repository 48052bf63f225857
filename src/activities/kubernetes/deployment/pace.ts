/**
 * Whether all of a Deployment's pods may be brought up at once: `maxSurge: 100%` needs room for
 * twice the pods, in the quota, on the nodes (without preempting anyone) and in the database.
 */
import type { V1LimitRange, V1Node, V1Pod, V1ResourceQuota } from '@kubernetes/client-node';
import type { Service } from '../../../config/schema.ts';
import { freeConnections } from '../../postgres/connections.ts';
import { KubernetesError, type Cluster, type ListOf, type Wire } from '../api.ts';
import { add, limitRangeDefaults, podRequests, type Resources } from '../pod-requests.ts';
import { parseQuantity, resolvePercentage } from '../quantity.ts';
import type { Deployment } from './revisions.ts';
import type { PodTemplate } from '../templates.ts';

export interface Pace {
  /** Raise `maxSurge` to 100 % and set `maxUnavailable` to 0 for this rollout. */
  surge: boolean;
  /** Why, or why not, in words. */
  why: string;
}

const steady = (why: string): Pace => ({
  surge: false,
  why: `The strategy stays as it is: ${why}.`,
});

/** Decides the pace of a rollback of `deployment` to `template`. Reads only. */
export async function choosePace(
  cluster: Cluster,
  deployment: Deployment,
  template: PodTemplate,
  wanted: 'auto' | 'steady',
  service: Service | undefined,
): Promise<Pace> {
  if (wanted === 'steady') return steady('a steady pace was asked for');
  const { strategy, replicas = 1 } = deployment.spec ?? {};
  if (strategy?.type === 'Recreate') return steady('Recreate is never changed');
  if (replicas === 0) return steady('there are no replicas');
  if (resolvePercentage(strategy?.rollingUpdate?.maxSurge, replicas, 'up') >= replicas) {
    return steady('it already brings all pods up at once');
  }
  const placement = placementRule(template);
  if (placement) return steady(`${placement}, so free room is hard to tell`);

  const extra = Math.max(0, 2 * replicas - (deployment.status?.replicas ?? 0));
  const namespace = deployment.metadata?.namespace ?? '';
  const obstacles = await Promise.all([
    quotaObstacle(cluster, namespace, template, extra),
    nodeObstacle(cluster, namespace, template, extra),
    databaseObstacle(service, extra),
  ]);
  const obstacle = obstacles.find((found) => found !== undefined);
  if (obstacle) return steady(obstacle);
  return {
    surge: true,
    why: `There is room for ${extra} more pods, so all come up at once (maxSurge 100%, maxUnavailable 0) and the strategy is put back afterwards.`,
  };
}

/** A rule of the template that decides where pods may run beyond selectors and taints. */
function placementRule(template: PodTemplate): string | undefined {
  const spec = template.spec;
  if (spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution) {
    return 'the pods have a required node affinity';
  }
  if (spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    return 'the pods have a required anti-affinity';
  }
  if (spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    return 'the pods have a required affinity';
  }
  if (spec?.topologySpreadConstraints?.some((c) => c.whenUnsatisfiable === 'DoNotSchedule')) {
    return 'the pods have a topology spread constraint';
  }
  if (spec?.containers.some(({ ports }) => ports?.some(({ hostPort }) => hostPort))) {
    return 'the pods use host ports';
  }
  if (spec?.volumes?.some((volume) => volume.persistentVolumeClaim)) {
    return 'the pods share a volume claim';
  }
  return undefined;
}

async function quotaObstacle(
  cluster: Cluster,
  namespace: string,
  template: PodTemplate,
  extra: number,
): Promise<string | undefined> {
  const base = `/api/v1/namespaces/${namespace}`;
  return unlessForbidden('its quotas', async () => {
    const [quotas, ranges] = await Promise.all([
      cluster.get<ListOf<Wire<V1ResourceQuota>>>(`${base}/resourcequotas`),
      cluster.get<ListOf<Wire<V1LimitRange>>>(`${base}/limitranges`),
    ]);
    if (quotas.items.length === 0) return undefined;
    const perPod = quotaUse(template, ranges.items);
    for (const { metadata, status } of quotas.items) {
      for (const [resource, hard] of Object.entries(status?.hard ?? {})) {
        const need = perPod.get(resource);
        if (need === undefined) continue;
        const free = parseQuantity(hard) - parseQuantity(status?.used?.[resource]);
        if (!(need * extra <= free)) {
          return `quota ${metadata?.name} has no room for ${extra} more pods (${resource}: ${status?.used?.[resource] ?? 0} of ${hard} used)`;
        }
      }
    }
    return undefined;
  });
}

/** What one pod of `template` takes of a quota, by the names that quotas use. */
function quotaUse(template: PodTemplate, ranges: Wire<V1LimitRange>[]): Resources {
  const use: Resources = new Map([
    ['pods', 1],
    ['count/pods', 1],
  ]);
  for (const kind of ['requests', 'limits'] as const) {
    const amounts = podRequests(template.spec, kind, limitRangeDefaults(ranges, kind));
    for (const [name, value] of amounts) {
      use.set(`${kind}.${name}`, value);
      if (kind === 'requests') use.set(name, value);
    }
  }
  return use;
}

async function nodeObstacle(
  cluster: Cluster,
  namespace: string,
  template: PodTemplate,
  extra: number,
): Promise<string | undefined> {
  return unlessForbidden('the nodes', async () => {
    // Version 0 is answered from the API server's cache: cheap in a large cluster, and fresh enough.
    const [nodes, pods, ranges] = await Promise.all([
      cluster.get<ListOf<Wire<V1Node>>>('/api/v1/nodes', { resourceVersion: 0 }),
      cluster.get<ListOf<Wire<V1Pod>>>('/api/v1/pods', { resourceVersion: 0 }),
      cluster.get<ListOf<Wire<V1LimitRange>>>(`/api/v1/namespaces/${namespace}/limitranges`),
    ]);
    const perPod = podRequests(
      template.spec,
      'requests',
      limitRangeDefaults(ranges.items, 'requests'),
    );
    perPod.set('pods', 1);
    const used = new Map<string, Resources>();
    for (const { spec, status } of pods.items) {
      if (!spec?.nodeName || status?.phase === 'Succeeded' || status?.phase === 'Failed') continue;
      const onNode = used.get(spec.nodeName) ?? new Map<string, number>();
      used.set(spec.nodeName, onNode);
      add(onNode, podRequests(spec));
      add(onNode, new Map([['pods', 1]]));
    }
    let room = 0;
    for (const node of nodes.items) {
      if (accepts(node, template)) {
        room += podsThatFit(
          node,
          perPod,
          used.get(node.metadata?.name ?? '') ?? new Map<string, number>(),
        );
      }
    }
    return room >= extra
      ? undefined
      : `the nodes have free room for ${room} more pods and ${extra} are needed`;
  });
}

function accepts(node: Wire<V1Node>, template: PodTemplate): boolean {
  const ready = node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');
  if (!ready || node.spec?.unschedulable) return false;
  const labels = node.metadata?.labels ?? {};
  const selector = Object.entries(template.spec?.nodeSelector ?? {});
  if (selector.some(([key, value]) => labels[key] !== value)) return false;
  const tolerations = template.spec?.tolerations ?? [];
  return (node.spec?.taints ?? [])
    .filter(({ effect }) => effect !== 'PreferNoSchedule')
    .every((taint) =>
      tolerations.some(
        ({ key, operator, value, effect }) =>
          (!effect || effect === taint.effect) &&
          (operator === 'Exists'
            ? !key || key === taint.key
            : key === taint.key && value === taint.value),
      ),
    );
}

function podsThatFit(node: Wire<V1Node>, perPod: Resources, used: Resources): number {
  let fits = Infinity;
  for (const [resource, need] of perPod) {
    if (need <= 0) continue;
    const free = parseQuantity(node.status?.allocatable?.[resource]) - (used.get(resource) ?? 0);
    fits = Math.min(fits, Math.max(0, Math.floor(free / need)));
  }
  return Number.isFinite(fits) ? fits : 0;
}

async function databaseObstacle(
  service: Service | undefined,
  extra: number,
): Promise<string | undefined> {
  if (!service?.connectionsPerPod || !service.database) return undefined;
  const need = extra * service.connectionsPerPod;
  try {
    const free = await freeConnections(service.database);
    if (free >= need) return undefined;
    return `the database has ${free} free connections and ${extra} more pods open ${need}`;
  } catch (error) {
    const code = (error as { code?: string }).code ?? (error as Error).message;
    return `the database's free connections cannot be read (${code})`;
  }
}

/** A worker that may not look cannot know that there is room: it says so and stays steady. */
async function unlessForbidden(
  what: string,
  look: () => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 403) {
      return `the worker may not read ${what} to see whether there is room`;
    }
    throw error;
  }
}
