import { afterAll, beforeAll } from '@jest/globals';
import {
  ApplicationFailure,
  type Client,
  WorkflowFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import {
  bundleWorkflowCode,
  NativeConnection,
  Runtime,
  type Worker,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import { execa } from 'execa';
import { randomBytes, randomUUID } from 'node:crypto';
import { replay } from '../../sandbox/chaos/replay.ts';
import { findServers } from '../../sandbox/setup/servers.mjs';
import { temporalDevFlags } from '../../sandbox/temporal-dev.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { signStart } from '../../src/authority/start.ts';
import { sendDecision } from '../../src/client/send-decision.ts';
import type { Notice } from '../../src/contract/notice.ts';
import { loadSettings } from '../../src/config/settings.ts';
import {
  tokenTypes,
  type DecisionAnswer,
  type DecisionClaims,
  type DecisionName,
  type StepDecisionName,
} from '../../src/contract/decision.ts';
import { type Plan, type Target, targetKey } from '../../src/contract/plan.ts';
import { startMemo, taskQueue, type RunResult, type RunStatus } from '../../src/contract/run.ts';
import { createWorker } from '../../src/workers/create-worker.ts';
import { registerSearchAttributes } from '../../src/workers/register-search-attributes.ts';
import { workflowBundle } from '../../src/workers/workflow-bundle.ts';
import { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import { FakeOwner } from '../../sandbox/chaos/fake-owner.ts';
import { keyOf, type PersonName } from './people.ts';
import { type OwnSettings, writeSettings } from './settings.ts';
import { silentLogger } from './silent-logger.ts';

export type HistoryEvent = NonNullable<
  Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']
>[number];

/** Input of a run as a person gives it. */
type Input = Record<string, unknown> & { deployment?: string };

/**
 * What a test file works with: a Temporal server and a worker of its own, and a namespace of its
 * own on the cluster. At the end, the history of every run is replayed.
 */
export class RollbackEnvironment {
  cluster!: TestCluster;
  temporal!: TestWorkflowEnvironment;
  /** What the worker has told people so far. */
  readonly told: Notice[] = [];
  /** Where the worker's settings are; the people file is beside it. */
  settingsFile!: string;
  private bundle!: WorkflowBundleOption;
  private worker: { it: Worker; running: Promise<void>; connection: NativeConnection } | undefined;
  private readonly started: string[] = [];
  private readonly namespaces: string[] = [];
  private readonly settings: OwnSettings;
  private readonly workflowsPath: string | undefined;

  constructor(settings: OwnSettings, workflowsPath?: string) {
    this.settings = settings;
    this.workflowsPath = workflowsPath;
  }

  get client(): Client {
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
      await this.stopWorker();
      await this.temporal.teardown();
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
      ...{ connection, namespace: 'default', settings, register, key },
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

  /** Starts a run in this file's namespace as the on-call engineer does, and answers its id. */
  async start(input: Input, workflowId = newId(), as?: PersonName | 'nobody'): Promise<string> {
    return this.startAs(
      as ?? 'on-call',
      { namespace: this.cluster.namespace, ...input },
      workflowId,
    );
  }

  /** Starts a run with an input as it is, signed by this person or by nobody. */
  async startAs(
    person: PersonName | 'nobody',
    input: unknown,
    workflowId = newId(),
  ): Promise<string> {
    const workflowType = 'rollbackDeployment';
    const run = { namespace: 'default', workflowId, workflowType, input };
    const memo =
      person === 'nobody' ? {} : { [startMemo]: await signStart(await keyOf(person), run) };
    await this.client.workflow.start(workflowType, { workflowId, taskQueue, memo, args: [input] });
    this.started.push(workflowId);
    return workflowId;
  }

  /** Waits for the end of a run and answers its result, whatever the outcome. */
  async result(workflowId: string): Promise<RunResult> {
    try {
      return (await this.client.workflow.getHandle(workflowId).result()) as RunResult;
    } catch (error) {
      return failureOf(error).details?.[0] as RunResult;
    }
  }

  /** Starts a run with an input as it is, and answers the failure that it ends with. */
  async failure(input: unknown): Promise<ApplicationFailure> {
    const workflowId = await this.startAs('on-call', input);
    try {
      await this.client.workflow.getHandle(workflowId).result();
    } catch (error) {
      return failureOf(error);
    }
    throw new Error(`Run ${workflowId} did not fail.`);
  }

  /** Starts a run and waits for its end. */
  async run(input: Input): Promise<RunResult> {
    return this.result(await this.start(input));
  }

  async status(workflowId: string): Promise<RunStatus> {
    return this.client.workflow.getHandle(workflowId).query<RunStatus>('status');
  }

  /** Waits until a run has made its plan. */
  async untilPlanned(workflowId: string): Promise<Plan> {
    return eventually(
      `run ${workflowId} has a plan`,
      async () => (await this.status(workflowId)).plan,
    );
  }

  /** Waits until a run waits for approvals, and answers its status then. */
  async untilWaiting(workflowId: string): Promise<RunStatus> {
    return eventually(`run ${workflowId} waits for approvals`, async () => {
      const status = await this.status(workflowId);
      return status.phase === 'awaiting-approval' && status;
    });
  }

  /** Starts a run and waits until it is paused at a step. */
  async runUntilPaused(input: Input): Promise<RunStatus> {
    return this.untilPaused(await this.start(input));
  }

  /** Waits until a run is paused at a step, and answers its status then. */
  async untilPaused(workflowId: string): Promise<RunStatus> {
    const paused = await eventually(`run ${workflowId} is paused`, async () => {
      const status = await this.status(workflowId);
      return ['paused', 'done'].includes(status.phase) && status;
    });
    if (paused.phase === 'paused') return paused;
    throw new Error(`Run ${workflowId} ended as ${paused.outcome}: ${paused.message}`);
  }

  /** Decides about the step at which a run is paused, as the CLI does. */
  async decideStep(
    { workflowId, pausedAt: [paused] }: RunStatus,
    decision: StepDecisionName,
    person: PersonName = 'on-call',
  ): Promise<DecisionAnswer> {
    const { step, attempt } = paused ?? {};
    const token = await this.token(workflowId, decision, person, { step, attempt });
    return this.send(workflowId, { decision, token, step, attempt });
  }

  /** Aborts a paused run, and answers how it ended. */
  async abort(status: RunStatus): Promise<RunResult> {
    const { counted, text } = await this.decideStep(status, 'abort');
    if (!counted) throw new Error(text);
    return this.result(status.workflowId);
  }

  /** Decides about the plan that a run shows now, by update, as the CLI does. */
  async decide(
    workflowId: string,
    decision: DecisionName,
    person: PersonName,
    claims: Partial<DecisionClaims> = {},
  ): Promise<DecisionAnswer> {
    const token = await this.token(workflowId, decision, person, claims);
    return this.send(workflowId, { decision, token });
  }

  /** A signed decision about the plan that a run shows now; `claims` win over what is right. */
  async token(
    workflowId: string,
    decision: DecisionName,
    person: PersonName,
    claims: Partial<DecisionClaims> = {},
  ): Promise<string> {
    const { plan, runId } = await this.status(workflowId);
    const key = await keyOf(person);
    const iat = Math.floor(Date.now() / 1000);
    return key.sign(tokenTypes.decision, {
      ...{ sub: person, aud: `default/${workflowId}`, run: runId, decision, digest: plan?.digest },
      ...{ iat, exp: iat + 600, executeBy: iat + 3600 },
      ...claims,
    });
  }

  /** Sends a message as the CLI does; one that the validator turned away did not count. */
  async send(workflowId: string, message: unknown): Promise<DecisionAnswer> {
    const decision = message as Parameters<typeof sendDecision>[2];
    const { counted, text } = await sendDecision(this, workflowId, decision);
    return { counted: counted === true, text };
  }

  /**
   * Resets a run, as the Temporal UI does it, to the last end of a workflow task for which all events
   * before satisfy `until`; what came later is sent again or not.
   */
  async reset(
    workflowId: string,
    until: (events: HistoryEvent[]) => boolean = () => true,
    later: 'again' | 'never' = 'never',
  ): Promise<void> {
    const { events } = await this.client.workflow.getHandle(workflowId).fetchHistory();
    const ends = (events ?? []).filter(
      (event, index, all) =>
        event.workflowTaskCompletedEventAttributes && until(all.slice(0, index)),
    );
    await this.client.workflowService.resetWorkflowExecution({
      ...{ namespace: 'default', workflowExecution: { workflowId }, reason: 'tried by hand' },
      ...{ requestId: randomUUID(), workflowTaskFinishEventId: ends.at(-1)?.eventId },
      // RESET_REAPPLY_TYPE_NONE, or all that is eligible.
      resetReapplyType: later === 'never' ? 2 : 3,
    });
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

  /**
   * Starts a run, and does `meanwhile` when it has made its plan and before it changes anything:
   * the Deployment is held until then. Answers the run's id.
   */
  async startInterrupted(
    input: Input,
    meanwhile: () => Promise<unknown>,
    cluster = this.cluster,
  ): Promise<string> {
    const owner = await this.occupy(input.deployment ?? '', cluster);
    const id = await this.start({ wait: '30s', namespace: cluster.namespace, ...input });
    await this.untilPlanned(id);
    await meanwhile();
    await owner.free();
    return id;
  }

  private async replayHistories(): Promise<void> {
    const histories = await Promise.all(
      this.started.map(async (workflowId) => ({
        workflowId,
        history: await this.client.workflow.getHandle(workflowId).fetchHistory(),
      })),
    );
    const broken = await replay(this.bundle, histories);
    if (broken.length > 0) throw new Error(broken.join('\n'));
  }
}

function newId(): string {
  return `run-${randomBytes(4).toString('hex')}`;
}

async function targetOf(cluster: TestCluster, name: string): Promise<Target> {
  const { metadata } = await cluster.deployment(name);
  return {
    kind: 'deployment',
    context: 'not part of the key',
    namespace: cluster.namespace,
    name,
    uid: metadata?.uid ?? '',
  };
}

function failureOf(error: unknown): ApplicationFailure {
  const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
  if (cause instanceof ApplicationFailure) return cause;
  throw error;
}

/**
 * Opens an environment before the tests of a file and closes it after them.
 * @param workflowsPath workflows of the test's own, in place of the project's
 */
export function useRollbackEnvironment(
  settings: OwnSettings = {},
  workflowsPath?: string,
): RollbackEnvironment {
  const environment = new RollbackEnvironment(settings, workflowsPath);
  beforeAll(() => {
    Runtime.install({ logger: silentLogger });
    return environment.open();
  });
  afterAll(() => environment.close());
  return environment;
}
