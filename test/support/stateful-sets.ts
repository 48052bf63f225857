/** StatefulSets as a team would deploy them, with state in their pods. */
import {
  type StatefulSetWanted,
  statefulSetManifests,
} from '../../sandbox/kubernetes/manifests.ts';
import { type Pod, readySince } from '../../src/activities/kubernetes/pods.ts';
import type { StatefulSet } from '../../src/activities/kubernetes/stateful-set/revisions.ts';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';

export const [v1, v2, broken] = [
  'wakala/api:1.0.0',
  'wakala/api:2.0.0-bad',
  'wakala/api:2.0.0-broken',
];

/** A StatefulSet of the tests' cluster, worked on with kubectl as a person would. */
export class StatefulSets {
  private readonly cluster: () => TestCluster;

  constructor(cluster: () => TestCluster) {
    this.cluster = cluster;
  }

  /** Deploys the images one after the other, each until its pods are there, and gives pod 0 state. */
  async history(name: string, images: string[], wanted: StatefulSetWanted = {}): Promise<void> {
    const [first = v1, ...others] = images;
    await this.cluster().apply(statefulSetManifests(name, first, wanted));
    await this.untilAllReady(name, first);
    await Promise.all(
      Array.from({ length: wanted.replicas ?? 2 }, (_, ordinal) =>
        this.write(`${name}-${ordinal}`, 'before'),
      ),
    );
    for (const image of others) {
      await this.release(name, image);
      await this.rollout(name);
    }
  }

  async release(name: string, image: string): Promise<void> {
    await this.cluster().kubectl('set', 'image', `statefulset/${name}`, `*=${image}`);
  }

  async rollout(name: string): Promise<void> {
    await this.cluster().kubectl('rollout', 'status', `statefulset/${name}`, '--timeout=60s');
  }

  /** Waits until all pods have an image and are ready, whatever the update strategy. */
  async untilAllReady(name: string, image: string): Promise<void> {
    const { spec } = await this.get(name);
    await eventually(`all pods of ${name} run ${image}`, async () => {
      // Not the set's own count, which may still be of pods that are gone.
      const pods = await this.listPods(name);
      return (
        pods.filter((pod) => imageOf(pod) === image && readySince(pod)).length === spec?.replicas
      );
    });
  }

  get(name: string): Promise<StatefulSet> {
    return this.cluster().get<StatefulSet>('statefulset', name);
  }

  async image(name: string): Promise<string | undefined> {
    return (await this.get(name)).spec?.template.spec?.containers[0]?.image;
  }

  /** `NAME IMAGE UID` of each pod, in order. */
  async pods(name: string): Promise<string[]> {
    const pods = await this.listPods(name);
    return pods.map((pod) => `${pod.metadata?.name} ${imageOf(pod)} ${pod.metadata?.uid}`).sort();
  }

  private listPods(name: string): Promise<Pod[]> {
    return this.cluster().list<Pod>('pod', `app=${name}`);
  }

  /** Images of the pods, in order. */
  async images(name: string): Promise<(string | undefined)[]> {
    return (await this.pods(name)).map((pod) => pod.split(' ')[1]);
  }

  /** Waits until the pod has this image and runs. */
  async untilRuns(pod: string, image: string): Promise<void> {
    await eventually(`${pod} runs ${image}`, async () => {
      // While it is replaced there is none of its name.
      const found = await this.cluster().kubectl(
        ...['get', 'pod', pod, '--ignore-not-found', '-o', 'json'],
      );
      const { spec, status } = (found === '' ? {} : JSON.parse(found)) as Partial<Pod>;
      return spec?.containers[0]?.image === image && status?.phase === 'Running';
    });
  }

  /** stdout of a command in a pod. */
  exec(pod: string, ...command: string[]): Promise<string> {
    return this.cluster().kubectl('exec', pod, '--', ...command);
  }

  /** Gives the pod another state. */
  async write(pod: string, text: string): Promise<void> {
    await this.exec(pod, 'sh', '-c', 'echo "$1" > "$2"', 'sh', text, '/data/state');
  }

  read(pod: string): Promise<string> {
    return this.exec(pod, 'cat', '/data/state');
  }

  /** Files in the folder of archives. */
  async archives(pod: string): Promise<string[]> {
    return (await this.exec(pod, 'ls', '/backup')).split('\n').filter(Boolean);
  }

  /** Selector of the Service with this name. */
  async selector(name: string): Promise<Record<string, string> | undefined> {
    const { spec } = await this.cluster().get<{ spec: { selector?: Record<string, string> } }>(
      'service',
      name,
    );
    return spec.selector;
  }
}

function imageOf({ spec }: Pod): string | undefined {
  return spec?.containers[0]?.image;
}
