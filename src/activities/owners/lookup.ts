import type { Settings } from '../../config/schema.ts';
import { type Cluster, type Clusters, KubernetesError, type ListOf } from '../kubernetes/api.ts';
import { type KubernetesObject, objectPath } from '../kubernetes/objects.ts';
import type { HeldKind } from './policies.ts';

/** An owner as it was read. */
export interface Owner {
  kind: HeldKind;
  object: KubernetesObject;
  cluster: Cluster;
}

interface About {
  /** How people keep it from acting without this project. */
  byHand: string;
  /** Whether it is asked for on the strength of a name that others use as well. */
  isGuess?: boolean;
}

/**
 * Reads what may be an owner, each object once for all targets of a plan, at the same time. What may
 * not be read, or is of no kind that is installed, is not there; the former is told.
 */
export class OwnerLookup {
  readonly cluster: Cluster;
  readonly settings: Settings;
  readonly warnings: string[] = [];
  private readonly clusters: Clusters;
  private readonly asked = new Map<string, Promise<unknown>>();

  /** @param cluster where the targets are */
  constructor(clusters: Clusters, cluster: Cluster, settings: Settings) {
    this.clusters = clusters;
    this.cluster = cluster;
    this.settings = settings;
  }

  /** Where Argo CD's own objects are. */
  get argoCluster(): Cluster {
    const { context } = this.settings.owners.argoCd;
    return context === undefined ? this.cluster : this.clusters.of(context);
  }

  warn(words: string): void {
    this.warnings.push(words);
  }

  /** All objects of a list beside the targets. */
  async list<T>(path: string): Promise<T[]> {
    const kind = path.split('/').at(-1);
    const found = await this.once(this.cluster, path, () => {
      this.warn(
        `The worker may not list ${kind}, so it cannot tell whether one of them changes what is rolled back: apply deploy/kubernetes-role.yaml.`,
      );
    });
    return (found as ListOf<T> | undefined)?.items ?? [];
  }

  /** An object that another one names. */
  async find<T extends KubernetesObject>(
    cluster: Cluster,
    kind: HeldKind,
    namespace: string,
    name: string,
    { byHand, isGuess = false }: About,
  ): Promise<T | undefined> {
    const path = objectPath(kind, namespace, name);
    const found = await this.once(cluster, path, async () => {
      if (isGuess && !(await isInstalled(cluster, path))) return;
      this.warn(
        `The worker may not read ${kind} ${name} in ${namespace}, which puts its own version of what is rolled back there again: apply deploy/kubernetes-role.yaml, or pause it first (${byHand}).`,
      );
    });
    return found as T | undefined;
  }

  private once(
    cluster: Cluster,
    path: string,
    ifForbidden: () => void | Promise<void>,
  ): Promise<unknown> {
    const key = `${cluster.context} ${path}`;
    const asked = this.asked.get(key) ?? this.ask(cluster, path, ifForbidden);
    this.asked.set(key, asked);
    return asked;
  }

  private async ask(
    cluster: Cluster,
    path: string,
    ifForbidden: () => void | Promise<void>,
  ): Promise<unknown> {
    try {
      return await cluster.find(path);
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.status !== 403) throw error;
      await ifForbidden();
      return undefined;
    }
  }
}

/** Whether the kind of object at this path is installed; everybody may ask that. */
async function isInstalled(cluster: Cluster, path: string): Promise<boolean> {
  const [, api, , , plural] =
    /^(\/apis\/[^/]+\/[^/]+)(\/namespaces\/([^/]+))?\/([^/]+)/.exec(path) ?? [];
  const found = await cluster.find<{ resources?: { name: string }[] }>(api ?? '');
  return found?.resources?.some(({ name }) => name === plural) ?? false;
}
