/** Helm releases of the sandbox's chart in a test's namespace, worked on with helm as a person would. */
import { execa, type ResultPromise } from 'execa';
import { resolve } from 'node:path';
import { FakeOwner } from '../../sandbox/chaos/fake-owner.ts';
import type { Deployment } from '../../src/activities/kubernetes/deployment/revisions.ts';
import type { Target } from '../../src/contract/plan.ts';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import type { RollbackEnvironment } from './rollback-environment.ts';

/** The helm of the sandbox; with HELM3, the one that it names, for what people do and for the worker. */
export const helmCommand = process.env.HELM3 || 'helm';
export const chart = resolve(import.meta.dirname, '../../sandbox/wakala/chart');

/** One line of `helm history`. */
export interface HistoryLine {
  revision: number;
  status: string;
  description: string;
}

type Values = Record<string, string | number | boolean>;

export class TestReleases {
  private readonly place: () => TestCluster;

  /** @param place where the releases are, once the tests begin */
  constructor(place: () => TestCluster) {
    this.place = place;
  }

  private get cluster(): TestCluster {
    return this.place();
  }

  /** stdout of helm in this namespace. */
  async helm(...args: string[]): Promise<string> {
    const { stdout } = await execa(helmCommand, [...args, '-n', this.cluster.namespace]);
    return stdout;
  }

  /** Installs or upgrades the release and waits for its pods. */
  async release(name: string, values: Values): Promise<void> {
    await this.helm('upgrade', '--install', name, chart, '--wait', ...flags(values));
  }

  /** Upgrades without waiting for pods that never come. */
  async releaseUnready(name: string, values: Values): Promise<void> {
    await this.helm('upgrade', '--install', name, chart, ...flags(values));
  }

  /** Releases the images one after the other. */
  async versions(name: string, ...images: string[]): Promise<void> {
    for (const image of images) await this.release(name, { image });
  }

  /** An upgrade whose pods are not ready in time, so that helm calls it failed. */
  async failedUpgrade(name: string, image: string): Promise<void> {
    const args = ['--wait', '--timeout', '2s', ...flags({ image })];
    await this.helm('upgrade', name, chart, ...args).catch(() => undefined);
  }

  /** An upgrade or install whose helm is killed while it waits; the release is left pending. */
  async interruptedUpgrade(name: string, image: string): Promise<void> {
    // Its pods count after a while only, so that helm still waits when it is killed.
    const values = flags({ image, minReadySeconds: 60 });
    await this.interrupted(name, image, ['upgrade', '--install', name, chart, ...values]);
  }

  /** As `interruptedUpgrade`, of a rollback to a revision with this image, whose pods are not soon ready. */
  async interruptedRollback(name: string, revision: number, image: string): Promise<void> {
    await this.interrupted(name, image, ['rollback', name, String(revision)]);
  }

  private async interrupted(name: string, image: string, command: string[]): Promise<void> {
    const args = [...command, '--wait'];
    const running: ResultPromise = execa(helmCommand, [...args, '-n', this.cluster.namespace], {
      reject: false,
    });
    await eventually(`${name} has ${image}`, async () => (await this.deployed(name)) === image);
    running.kill('SIGKILL');
    await running;
  }

  /** Newest last. */
  async history(name: string): Promise<HistoryLine[]> {
    return JSON.parse(await this.helm('history', name, '-o', 'json')) as HistoryLine[];
  }

  /** Number and status of the newest revision, as in `3 deployed`. */
  async standing(name: string): Promise<string> {
    const newest = (await this.history(name)).at(-1);
    return `${newest?.revision} ${newest?.status}`;
  }

  async image(name: string): Promise<string | undefined> {
    return this.cluster.image(name);
  }

  /** As `image`, of a Deployment that may not be there yet. */
  private async deployed(name: string): Promise<string> {
    const path = 'jsonpath={.spec.template.spec.containers[0].image}';
    return this.cluster.kubectl('get', 'deployment', name, '--ignore-not-found', '-o', path);
  }

  /** Names of the Deployments of a release. */
  async deployments(name: string): Promise<string[]> {
    const deployments = await this.cluster.list<Deployment>('deployment');
    return deployments
      .map(({ metadata }) => metadata?.name ?? '')
      .filter((one) => one === name || one.startsWith(`${name}-`));
  }

  /**
   * Starts a run, and does `meanwhile` when it has made its plan and before it changes anything.
   * Answers the run's id.
   */
  async startInterrupted(
    environment: RollbackEnvironment,
    release: string,
    meanwhile: () => Promise<unknown>,
  ): Promise<string> {
    const owner = await FakeOwner.of(environment.client, await this.target(release));
    const id = await environment.start({ release, wait: '30s' });
    await environment.untilPlanned(id);
    await meanwhile();
    await owner.free();
    return id;
  }

  private async target(name: string): Promise<Target> {
    const { namespace } = this.cluster;
    const uid = await this.cluster.kubectl(
      ...['get', 'namespace', namespace, '-o', 'jsonpath={.metadata.uid}'],
    );
    return { kind: 'helm-release', context: 'not part of the key', namespace, name, uid };
  }
}

function flags(values: Values): string[] {
  return Object.entries(values).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
}
