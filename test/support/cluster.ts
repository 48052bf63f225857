/** A namespace of its own on the tests' cluster, worked on with kubectl as a person would. */
import { execa } from 'execa';
import type {
  Deployment,
  ReplicaSet,
} from '../../src/activities/kubernetes/deployment/revisions.ts';
import { eventually } from './eventually.ts';

export class TestCluster {
  readonly namespace: string;
  private readonly where: string[];

  /** @param context of the kubeconfig, where it is not the current one */
  constructor(namespace: string, context?: string) {
    this.namespace = namespace;
    this.where = ['-n', namespace, ...(context === undefined ? [] : ['--context', context])];
  }

  /** stdout of kubectl in this namespace. */
  async kubectl(...args: string[]): Promise<string> {
    const { stdout } = await execa('kubectl', [...this.where, ...args]);
    return stdout;
  }

  /** Applies manifests, given as objects; `args` are further arguments of `kubectl apply`. */
  async apply(objects: object[], ...args: string[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await execa('kubectl', [...this.where, 'apply', ...args, '-f', '-'], {
      input: JSON.stringify(list),
    });
  }

  /** Creates a Deployment and waits for its pods. */
  async deploy(name: string, image: string, replicas: number): Promise<void> {
    await this.kubectl('create', 'deployment', name, `--image=${image}`, `--replicas=${replicas}`);
    await this.rollout(name);
  }

  /** Deploys the images one after the other, each until its pods are there. */
  async history(name: string, replicas: number, ...images: string[]): Promise<void> {
    for (const [index, image] of images.entries()) {
      await (index === 0 ? this.deploy(name, image, replicas) : this.release(name, image));
    }
  }

  /** Changes the image, and waits for the pods unless they are known never to come. */
  async release(name: string, image: string, wait = true): Promise<void> {
    await this.kubectl('set', 'image', `deployment/${name}`, `*=${image}`);
    if (wait) await this.rollout(name);
  }

  async rollout(name: string): Promise<void> {
    await this.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=30s');
  }

  /** Changes a Deployment's fields with a merge patch. */
  async patch(name: string, fields: object): Promise<void> {
    await this.kubectl('patch', 'deployment', name, '--type=merge', '-p', JSON.stringify(fields));
  }

  /** An object as JSON. */
  async get<T>(kind: string, name: string): Promise<T> {
    return JSON.parse(await this.kubectl('get', kind, name, '-o', 'json')) as T;
  }

  async deployment(name: string): Promise<Deployment> {
    return JSON.parse(await this.kubectl('get', 'deployment', name, '-o', 'json')) as Deployment;
  }

  async image(name: string): Promise<string | undefined> {
    return (await this.deployment(name)).spec?.template.spec?.containers[0]?.image;
  }

  /** The Deployment's ReplicaSets by the image of their pods. */
  async replicaSets(name: string): Promise<Map<string, ReplicaSet>> {
    const { items } = JSON.parse(await this.kubectl('get', 'replicasets', '-o', 'json')) as {
      items: ReplicaSet[];
    };
    return new Map(
      items
        .filter(({ metadata }) => metadata?.ownerReferences?.[0]?.name === name)
        .map((set) => [set.spec?.template?.spec?.containers[0]?.image ?? '', set]),
    );
  }

  /** Waits until the Deployment has a pod with this image. */
  async pods(name: string, image: string): Promise<void> {
    await eventually(`a pod of ${name} with ${image}`, async () => {
      const set = (await this.replicaSets(name)).get(image);
      return (set?.status?.replicas ?? 0) > 0;
    });
  }

  /**
   * Follows objects with `kubectl get --watch`; `stop` answers every value of the JSON path that
   * was seen.
   */
  watch(kind: string, selector: string[], jsonpath: string): { stop(): Promise<string[]> } {
    const lines: string[] = [];
    const args = ['get', kind, ...selector, '--watch', '-o', `jsonpath=${jsonpath}{"\\n"}`];
    const watching = execa('kubectl', [...this.where, ...args], { reject: false });
    const read = (async () => {
      for await (const line of watching) lines.push(line);
    })();
    return {
      async stop() {
        watching.kill();
        await read;
        return lines;
      },
    };
  }
}

/** What people and tools have written on a Deployment; its controller goes on writing the status. */
export function written({ metadata }: Pick<Deployment, 'metadata'>): object {
  const { generation, annotations, labels } = metadata ?? {};
  return { generation, annotations, labels };
}
