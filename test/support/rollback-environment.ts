import { afterAll, beforeAll } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import {
  bundleWorkflowCode,
  NativeConnection,
  Runtime,
  type Worker,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { eventually } from './eventually.ts';
import { FakeOwner } from '../../sandbox/chaos/fake-owner.ts';
import { replay } from '../../sandbox/chaos/replay.ts';
import { findServers } from '../../sandbox/setup/servers.mjs';
import { temporalDevFlags } from '../../sandbox/temporal-dev.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import type { Notice } from '../../src/contract/notice.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { SettingsSource } from '../../src/config/settings-source.ts';
import type { Procedure } from '../../src/contract/input.ts';
import { type Target, targetKey, type TargetKind } from '../../src/contract/plan.ts';
import { createWorker } from '../../src/workers/create-worker.ts';
import { registerSearchAttributes } from '../../src/workers/register-search-attributes.ts';
import { workflowBundle } from '../../src/workers/workflow-bundle.ts';
import { TestCluster } from './cluster.ts';
import { type Input, Runs } from './runs.ts';
import { type OwnSettings, writeSettings } from './settings.ts';
import { silentLogger } from './silent-logger.ts';

export interface Environment {
  /** What the file's runs roll back; a Deployment where it is left out. */
  procedure?: Procedure;
  /** Workflows of the test's own, in place of the project's. */
  workflowsPath?: string;
}

/**
 * What a test file works with: a Temporal server and a worker of its own, and a namespace of its
 * own on the cluster. At the end, the history of every run is replayed.
 */
export class RollbackEnvironment extends Runs {
  override cluster!: TestCluster;
  override readonly procedure: Procedure;
  temporal!: TestWorkflowEnvironment;
  /** What the worker has told people so far. */
  readonly told: Notice[] = [];
  /** Where the worker's settings are; the people file is beside it. */
  settingsFile!: string;
  private bundle!: WorkflowBundleOption;
  private worker: { it: Worker; running: Promise<void>; connection: NativeConnection } | undefined;
  private readonly namespaces: string[] = [];
  private readonly settings: OwnSettings;
  private readonly workflowsPath: string | undefined;

  constructor(settings: OwnSettings, { procedure = 'deployment', workflowsPath }: Environment) {
    super();
    this.settings = settings;
    this.procedure = procedure;
    this.workflowsPath = workflowsPath;
  }

  override get client(): Client {
    return this.temporal.client;
  }

  async open(): Promise<void> {
    const { temporal: path } = findServers();
    this.cluster = await this.anotherNamespace();
    this.temporal = await TestWorkflowEnvironment.createLocal({
      server: { executable: { type: 'existing-path', path }, extraArgs: temporalDevFlags() },
    });
    const { workflowsPath } = this;
    this.bundle = workflowsPath
      ? await bundleWorkflowCode({ workflowsPath, logger: silentLogger })
      : await workflowBundle(silentLogger);
    const kubernetes = { namespace: this.cluster.namespace };
    this.settingsFile = writeSettings({ kubernetes, ...this.settings });
    await this.startWorker();
  }

  async close(): Promise<void> {
    try {
      await this.replayHistories();
    } finally {
      await within(() => 'The stop of the worker', this.stopWorker());
      await within(() => 'The end of the Temporal server', this.temporal.teardown());
      await execa('kubectl', ['delete', 'namespace', '--wait=false', ...this.namespaces]);
    }
  }

  /** A new namespace, for what would disturb the others of the file; a run needs to be told its name. */
  async anotherNamespace(): Promise<TestCluster> {
    const name = `test-${randomBytes(4).toString('hex')}`;
    await execa('kubectl', ['create', 'namespace', name]);
    this.namespaces.push(name);
    return new TestCluster(name);
  }

  async startWorker(): Promise<void> {
    const connection = await NativeConnection.connect({ address: this.temporal.address });
    await registerSearchAttributes(connection, 'default');
    const settings = loadSettings(this.settingsFile);
    const { register, key } = await loadAuthority(settings, this.temporal.address);
    const it = await createWorker({
      ...{ connection, namespace: 'default', register, key },
      settings: new SettingsSource(settings, () => undefined),
      workflowBundle: this.bundle,
      tell: (notice) => Promise.resolve(void this.told.push(notice)),
    });
    this.worker = { it, running: it.run(), connection };
  }

  async stopWorker(): Promise<void> {
    if (!this.worker) return;
    const { it, running, connection } = this.worker;
    this.worker = undefined;
    if (it.getState() === 'RUNNING') it.shutdown();
    await running;
    await connection.close();
  }

  /** Makes a run that does nothing hold the Deployment. */
  async occupy(name: string, cluster = this.cluster, workflowId?: string): Promise<FakeOwner> {
    return FakeOwner.of(this.client, await targetOf(cluster, name), workflowId);
  }

  /** Whether no run holds the Deployment. */
  async isFree(name: string): Promise<boolean> {
    const id = `lock:${targetKey(await targetOf(this.cluster, name))}`;
    const { status } = await this.client.workflow.getHandle(id).describe();
    return status.name !== 'RUNNING';
  }

  /** A run that has ended frees its targets a moment later. */
  async untilFree(name: string): Promise<void> {
    await eventually(`${name} is free`, () => this.isFree(name));
  }

  /**
   * Starts a run, and does `meanwhile` when it has made its plan and before it changes anything:
   * what it changes is held until then. Answers the run's id.
   */
  async startInterrupted(
    input: Input,
    meanwhile: () => Promise<unknown>,
    cluster = this.cluster,
    held = input.deployment ?? '',
  ): Promise<string> {
    const owner = await this.occupy(held, cluster);
    const id = await this.start({ wait: '30s', namespace: cluster.namespace, ...input });
    await this.untilPlanned(id);
    await meanwhile();
    await owner.free();
    return id;
  }

  private async replayHistories(): Promise<void> {
    const reminders: string[] = [];
    const query = "WorkflowType = 'remindOfHold'";
    for await (const { workflowId } of this.client.workflow.list({ query })) {
      reminders.push(workflowId);
    }
    const histories = await Promise.all(
      [...this.started, ...reminders].map(async (workflowId) => ({
        workflowId,
        history: await this.client.workflow.getHandle(workflowId).fetchHistory(),
      })),
    );
    let current = '';
    const oneByOne = function* () {
      for (const each of histories) {
        current = `${each.workflowId}, ${each.history.events?.length} events,`;
        yield each;
      }
    };
    // Thousands of signals take a busy machine minutes.
    const events = histories.reduce((sum, { history }) => sum + (history.events?.length ?? 0), 0);
    const broken = await within(
      () => `The replay of ${current}`,
      replay(this.bundle, oneByOne()),
      patience + 30 * events,
    );
    if (broken.length > 0) throw new Error(broken.join('\n'));
  }
}

const patience = 60_000;

/** Names what hangs, before the hook's own limit ends the file without a word about that. */
async function within<T>(what: () => string, work: Promise<T>, limitMs = patience): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what()} has not ended after ${limitMs / 1000} s.`)),
      limitMs,
    );
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** @param object `service/web`; a name alone is a Deployment's */
export async function targetOf(cluster: TestCluster, object: string): Promise<Target> {
  const [name = '', kind = 'deployment'] = object.split('/').reverse();
  const { metadata } = await cluster.get<{ metadata: { uid: string } }>(kind, name);
  return {
    kind: kind as TargetKind,
    context: 'not part of the key',
    namespace: cluster.namespace,
    name,
    uid: metadata.uid,
  };
}

/** Opens an environment before the tests of a file and closes it after them. */
export function useRollbackEnvironment(
  settings: OwnSettings = {},
  about: Environment = {},
): RollbackEnvironment {
  const environment = new RollbackEnvironment(settings, about);
  beforeAll(() => {
    Runtime.install({ logger: silentLogger });
    return environment.open();
  });
  afterAll(() => environment.close(), 300_000);
  return environment;
}
