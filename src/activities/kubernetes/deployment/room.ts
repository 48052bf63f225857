/**
 * Free room for more pods: in the quota, on the nodes (without preempting anyone) and in the database.
 * One plan asks one room for all of its Deployments: what one of them takes, the next does not have,
 * and what is the same for all is read once.
 */
import type { V1LimitRange, V1Node, V1Pod, V1ResourceQuota } from '@kubernetes/client-node';
import type { Service } from '../../../config/schema.ts';
import { freeConnections } from '../../postgres/connections.ts';
import { KubernetesError, type Cluster, type ListOf, type Wire } from '../api.ts';
import { add, limitRangeDefaults, podRequests, type Resources } from '../pod-requests.ts';
import { parseQuantity } from '../quantity.ts';
import type { PodTemplate } from '../templates.ts';

/** Pods that are wanted beside those that run. */
export interface Wanted {
  namespace: string;
  template: PodTemplate;
  /** How many of them. */
  extra: number;
  service: Service | undefined;
}

/** Something that is there, as far as it is free, and how to take a part of it. */
interface Free {
  /** Why there is no room; undefined where there is. */
  obstacle?: string;
  take: () => void;
}

const ample: Free = { take: () => undefined };

export class Room {
  private readonly cluster: Cluster;
  private readonly answers = new Map<string, Promise<unknown>>();
  /** What this plan takes already: of quotas by namespace, of databases by address. */
  private readonly ofQuota = new Map<string, Resources>();
  private readonly ofDatabase = new Map<string, number>();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Takes the room for these pods; answers why not, in words, where there is none. Reads only. */
  async take(wanted: Wanted): Promise<string | undefined> {
    const looks = await Promise.all([
      unlessForbidden('its quotas', () => this.inQuota(wanted)),
      unlessForbidden('the nodes', () => this.onNodes(wanted)),
      this.inDatabase(wanted),
    ]);
    // Nothing is awaited between the look and the taking, so two of one plan never take the same.
    const found = looks.map((look) => look());
    const obstacle = found.find((free) => free.obstacle !== undefined)?.obstacle;
    if (obstacle === undefined) for (const { take } of found) take();
    return obstacle;
  }

  /**
   * Why a quota refuses even one more pod, in words; undefined where none does, or the worker may not
   * look. What this plan takes itself is free again later.
   */
  async refusesOne(namespace: string, template: PodTemplate): Promise<string | undefined> {
    try {
      const { quotas, perPod } = await this.quotasOf(namespace, template);
      // Of those with a scope it is not sure which count these pods.
      const all = quotas.filter(({ spec }) => !spec?.scopes && !spec?.scopeSelector);
      return fullQuota(all, perPod, 1, new Map());
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return undefined;
    }
  }

  private list<T>(path: string, query: Record<string, number> = {}): Promise<ListOf<T>> {
    return this.once(path, () => this.cluster.get<ListOf<T>>(path, query));
  }

  private once<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const answer = (this.answers.get(what) as Promise<T> | undefined) ?? ask();
    this.answers.set(what, answer);
    return answer;
  }

  private async inQuota({ namespace, template, extra }: Wanted): Promise<() => Free> {
    const { quotas, perPod } = await this.quotasOf(namespace, template);
    if (quotas.length === 0) return () => ample;
    return () => {
      const taken = this.ofQuota.get(namespace) ?? new Map<string, number>();
      const obstacle = fullQuota(quotas, perPod, extra, taken);
      if (obstacle !== undefined) return { ...ample, obstacle };
      const take = () => {
        add(taken, times(perPod, extra));
        this.ofQuota.set(namespace, taken);
      };
      return { take };
    };
  }

  /** The quotas of a namespace, and what one pod takes of them. */
  private async quotasOf(namespace: string, template: PodTemplate) {
    const base = `/api/v1/namespaces/${namespace}`;
    const [quotas, ranges] = await Promise.all([
      this.list<Wire<V1ResourceQuota>>(`${base}/resourcequotas`),
      this.list<Wire<V1LimitRange>>(`${base}/limitranges`),
    ]);
    return { quotas: quotas.items, perPod: quotaUse(template, ranges.items) };
  }

  private async onNodes({ namespace, template, extra }: Wanted): Promise<() => Free> {
    const ranges = `/api/v1/namespaces/${namespace}/limitranges`;
    const [nodes, defaults] = await Promise.all([
      this.once('nodes', () => readNodes(this.cluster)),
      this.list<Wire<V1LimitRange>>(ranges),
    ]);
    const perPod = podRequests(
      template.spec,
      'requests',
      limitRangeDefaults(defaults.items, 'requests'),
    );
    perPod.set('pods', 1);
    return () => {
      const open = nodes.filter(({ node }) => accepts(node, template));
      const fits = open.map((node) => ({ ...node, pods: podsThatFit(node, perPod) }));
      const room = fits.reduce((sum, { pods }) => sum + pods, 0);
      if (room < extra) {
        const obstacle = `the nodes have free room for ${room} more pods and ${extra} are needed`;
        return { ...ample, obstacle };
      }
      const take = () => {
        let rest = extra;
        for (const { used, pods } of fits) {
          const here = Math.min(pods, rest);
          add(used, times(perPod, here));
          rest -= here;
        }
      };
      return { take };
    };
  }

  private async inDatabase({ service, extra }: Wanted): Promise<() => Free> {
    const { connectionsPerPod, database } = service ?? {};
    if (!connectionsPerPod || !database) return () => ample;
    const need = extra * connectionsPerPod;
    try {
      const all = await this.once(database, () => freeConnections(database));
      return () => {
        const taken = this.ofDatabase.get(database) ?? 0;
        const free = all - taken;
        if (free >= need) return { take: () => this.ofDatabase.set(database, taken + need) };
        const obstacle = `the database has ${free} free connections and ${extra} more pods open ${need}`;
        return { ...ample, obstacle };
      };
    } catch (error) {
      const code = (error as { code?: string }).code ?? (error as Error).message;
      const obstacle = `the database's free connections cannot be read (${code})`;
      return () => ({ ...ample, obstacle });
    }
  }
}

/** The first quota without room for so many more pods, in words; undefined where all have it. */
function fullQuota(
  quotas: readonly Wire<V1ResourceQuota>[],
  perPod: Resources,
  extra: number,
  taken: Resources,
): string | undefined {
  for (const { metadata, status } of quotas) {
    for (const [resource, hard] of Object.entries(status?.hard ?? {})) {
      const need = perPod.get(resource);
      if (need === undefined) continue;
      const used = parseQuantity(status?.used?.[resource]) + (taken.get(resource) ?? 0);
      if (need * extra <= parseQuantity(hard) - used) continue;
      return `quota ${metadata?.name} has no room for ${extra} more pods (${resource}: ${status?.used?.[resource] ?? 0} of ${hard} used)`;
    }
  }
  return undefined;
}

interface UsedNode {
  node: Wire<V1Node>;
  used: Resources;
}

/** The nodes with what the pods on them ask for. */
async function readNodes(cluster: Cluster): Promise<UsedNode[]> {
  // Version 0 is answered from the API server's cache: cheap in a large cluster, and fresh enough.
  const [nodes, pods] = await Promise.all([
    cluster.get<ListOf<Wire<V1Node>>>('/api/v1/nodes', { resourceVersion: 0 }),
    cluster.get<ListOf<Wire<V1Pod>>>('/api/v1/pods', { resourceVersion: 0 }),
  ]);
  const used = new Map<string, Resources>();
  for (const { spec, status } of pods.items) {
    if (!spec?.nodeName || status?.phase === 'Succeeded' || status?.phase === 'Failed') continue;
    const onNode = used.get(spec.nodeName) ?? new Map<string, number>();
    used.set(spec.nodeName, onNode);
    add(onNode, podRequests(spec));
    add(onNode, new Map([['pods', 1]]));
  }
  return nodes.items.map((node) => ({
    node,
    used: used.get(node.metadata?.name ?? '') ?? new Map<string, number>(),
  }));
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

function podsThatFit({ node, used }: UsedNode, perPod: Resources): number {
  let fits = Infinity;
  for (const [resource, need] of perPod) {
    if (need <= 0) continue;
    const free = parseQuantity(node.status?.allocatable?.[resource]) - (used.get(resource) ?? 0);
    fits = Math.min(fits, Math.max(0, Math.floor(free / need)));
  }
  return Number.isFinite(fits) ? fits : 0;
}

function times(amounts: Resources, count: number): Resources {
  return new Map([...amounts].map(([name, value]) => [name, value * count]));
}

/** A worker that may not look cannot know that there is room: it says so and stays steady. */
async function unlessForbidden(what: string, look: () => Promise<() => Free>): Promise<() => Free> {
  try {
    return await look();
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const obstacle = `the worker may not read ${what} to see whether there is room`;
    return () => ({ ...ample, obstacle });
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 403;
}
