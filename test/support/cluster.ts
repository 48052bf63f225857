/** A namespace of its own on the tests' cluster, worked on as kubectl does it for a person. */
import { execa } from 'execa';
import type {
  Deployment,
  ReplicaSet,
} from '../../src/activities/kubernetes/deployment/revisions.ts';
import { ApiServer } from './api-server.ts';
import { eventually } from './eventually.ts';

/** Kinds that are read without kubectl, since they are read often. */
const groups = {
  configmap: 'api/v1',
  deployment: 'apis/apps/v1',
  destinationrule: 'apis/networking.istio.io/v1',
  endpointslice: 'apis/discovery.k8s.io/v1',
  httproute: 'apis/gateway.networking.k8s.io/v1',
  pod: 'api/v1',
  replicaset: 'apis/apps/v1',
  service: 'api/v1',
  statefulset: 'apis/apps/v1',
  virtualservice: 'apis/networking.istio.io/v1',
};
type ReadKind = keyof typeof groups;

export class TestCluster {
  readonly namespace: string;
  private readonly where: string[];
  private readonly context: string | undefined;
  private connected: ApiServer | undefined;

  /** @param context of the kubeconfig, where it is not the current one */
  constructor(namespace: string, context?: string) {
    this.namespace = namespace;
    this.context = context;
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

  /** Creates a Deployment as `kubectl create deployment` does, and waits for its pods. */
  async deploy(name: string, image: string, replicas: number): Promise<void> {
    const labels = { app: name };
    const container = image.replace(/^.*\/|:.*$/g, '');
    await this.api.request(this.pathOf('deployment'), {
      method: 'POST',
      manager: 'kubectl-create',
      body: {
        ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, labels } },
        spec: {
          ...{ replicas, selector: { matchLabels: labels }, strategy: {} },
          template: {
            metadata: { labels },
            spec: { containers: [{ name: container, image, resources: {} }] },
          },
        },
      },
    });
    await this.rollout(name);
  }

  /** Deploys the images one after the other, each until its pods are there. */
  async history(name: string, replicas: number, ...images: string[]): Promise<void> {
    for (const [index, image] of images.entries()) {
      await (index === 0 ? this.deploy(name, image, replicas) : this.release(name, image));
    }
  }

  /**
   * Changes all images as `kubectl set image` does, and waits for the pods unless they are known never
   * to come.
   */
  async release(name: string, image: string, wait = true): Promise<void> {
    const { spec } = (await this.observed(name)).spec?.template ?? {};
    const withImage = (containers?: { name: string }[]) =>
      containers?.map(({ name }) => ({ name, image }));
    await this.write(name, 'kubectl-set', 'application/strategic-merge-patch+json', {
      spec: {
        template: {
          spec: {
            containers: withImage(spec?.containers),
            initContainers: withImage(spec?.initContainers),
          },
        },
      },
    });
    if (wait) await this.rollout(name);
  }

  /** A Deployment whose controller has seen its last change: a version it never saw has no revision. */
  private async observed(name: string): Promise<Deployment> {
    return eventually(`the controller sees the change of ${name}`, async () => {
      const deployment = await this.deployment(name);
      const { metadata, status } = deployment;
      return (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0) && deployment;
    });
  }

  /** Waits for what `kubectl rollout status` waits for. */
  async rollout(name: string): Promise<void> {
    await eventually(
      `the rollout of ${name}`,
      async () => {
        const { metadata, spec, status = {} } = await this.deployment(name);
        const { observedGeneration = 0, replicas = 0, updatedReplicas = 0 } = status;
        return (
          observedGeneration >= (metadata?.generation ?? 0) &&
          updatedReplicas === spec?.replicas &&
          replicas === updatedReplicas &&
          (status.availableReplicas ?? 0) === updatedReplicas
        );
      },
      30_000,
    );
  }

  /** Limits what the namespace may use, such as `pods=3`, and waits until the limit counts. */
  async limit(name: string, hard: string): Promise<void> {
    await this.kubectl('create', 'quota', name, `--hard=${hard}`);
    await eventually(`quota ${name} counts`, async () => {
      const path = 'jsonpath={.status.used}';
      return (await this.kubectl('get', 'quota', name, '-o', path)) !== '';
    });
  }

  /** Changes a Deployment's fields with a merge patch. */
  async patch(name: string, fields: object): Promise<void> {
    await this.write(name, 'kubectl-patch', 'application/merge-patch+json', fields);
  }

  /** Objects of a kind, those with the label `selector` where one is given. */
  async list<T>(kind: ReadKind, selector = ''): Promise<T[]> {
    const path = `${this.pathOf(kind)}?labelSelector=${encodeURIComponent(selector)}`;
    return (await this.api.get<{ items: T[] }>(path)).items;
  }

  /** An object as `kubectl get -o json` shows it. */
  async get<T>(kind: string, name: string): Promise<T> {
    if (isRead(kind)) {
      const object = await this.api.get<{ metadata: object }>(`${this.pathOf(kind)}/${name}`);
      return { ...object, metadata: { ...object.metadata, managedFields: undefined } } as T;
    }
    return JSON.parse(await this.kubectl('get', kind, name, '-o', 'json')) as T;
  }

  async specOf(kind: string, name: string): Promise<Record<string, unknown>> {
    return (await this.get<{ spec: Record<string, unknown> }>(kind, name)).spec;
  }

  async deployment(name: string): Promise<Deployment> {
    return this.get<Deployment>('deployment', name);
  }

  async image(name: string): Promise<string | undefined> {
    return (await this.deployment(name)).spec?.template.spec?.containers[0]?.image;
  }

  /** The Deployment's ReplicaSets by the image of their pods. */
  async replicaSets(name: string): Promise<Map<string, ReplicaSet>> {
    const items = await this.list<ReplicaSet>('replicaset');
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
   * Follows objects with `kubectl get --watch`, from now on; `stop` answers every value of the JSON
   * path that was seen.
   */
  async watch(
    kind: string,
    selector: string[],
    jsonpath: string,
  ): Promise<{ stop(): Promise<string[]> }> {
    const lines: string[] = [];
    const path = `jsonpath=${jsonpath}{"\\n"}`;
    const args = ['get', kind, ...selector, '--watch', '-v=6', '-o', path];
    const watching = execa('kubectl', [...this.where, ...args], { reject: false });
    const read = (async () => {
      for await (const line of watching) lines.push(line);
    })();
    // It lists first and then watches from there, which it tells.
    const began = new Promise<void>((resolve) => {
      watching.stderr.on('data', (said: Buffer) => {
        if (String(said).includes('watch=true')) resolve();
      });
    });
    await Promise.race([began, read]);
    const isOne = selector.length === 1;
    const each = isOne ? jsonpath : `{range .items[*]}${jsonpath}{"\\n"}{end}`;
    const current = () => this.kubectl('get', kind, ...selector, '-o', `jsonpath=${each}`);
    return {
      async stop() {
        const last = (await current()).split('\n');
        const isSeen = (line: string) => (isOne ? lines.at(-1) === line : lines.includes(line));
        await eventually('the watch has seen what is there now', () =>
          Promise.resolve(last.every((line) => line === '' || isSeen(line))),
        );
        watching.kill();
        await read;
        return lines;
      },
    };
  }

  private get api(): ApiServer {
    return (this.connected ??= new ApiServer(this.context));
  }

  private pathOf(kind: ReadKind): string {
    return `/${groups[kind]}/namespaces/${this.namespace}/${kind}s`;
  }

  private async write(
    name: string,
    manager: `kubectl-${string}`,
    type: string,
    body: object,
  ): Promise<void> {
    const path = `${this.pathOf('deployment')}/${name}`;
    await this.api.request(path, { method: 'PATCH', manager, type, body });
  }
}

function isRead(kind: string): kind is ReadKind {
  return kind in groups;
}

/** What people and tools have written on a Deployment; its controller goes on writing the status. */
export function written({ metadata }: Pick<Deployment, 'metadata'>): object {
  const { generation, annotations, labels } = metadata ?? {};
  return { generation, annotations, labels };
}
