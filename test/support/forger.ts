import {
  ApplicationFailure,
  type Client,
  type WorkflowHandle,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { RunIdentity } from '../../src/contract/plan.ts';

const taskQueue = 'forger';

/** Somebody who may write to the Temporal namespace, with a worker and workflows of their own. */
export class Forger {
  private readonly client: Client;
  private readonly worker: Worker;
  private readonly running: Promise<void>;
  private readonly connection: NativeConnection;

  private constructor(client: Client, worker: Worker, connection: NativeConnection) {
    this.client = client;
    this.worker = worker;
    this.running = worker.run();
    this.connection = connection;
  }

  static async of(client: Client, address: string): Promise<Forger> {
    const connection = await NativeConnection.connect({ address });
    const workflowsPath = join(import.meta.dirname, 'forged-workflow.ts');
    const worker = await Worker.create({ connection, taskQueue, workflowsPath });
    return new Forger(client, worker, connection);
  }

  /** Starts a forged run, by any id and with any memo. */
  async begin(
    workflowId = `forged-${randomBytes(4).toString('hex')}`,
    memo: Record<string, unknown> = {},
  ): Promise<ForgedRun> {
    const handle = await this.client.workflow.start('forged', { workflowId, taskQueue, memo });
    return new ForgedRun(handle, { workflowId, firstRunId: handle.firstExecutionRunId });
  }

  /** Asks for an activity with what `argument` answers for a new run, and answers how it failed. */
  async ask(
    activity: string,
    argument: (run: RunIdentity) => unknown,
  ): Promise<ApplicationFailure> {
    const run = await this.begin();
    try {
      return await run.refused(activity, await argument(run.identity));
    } finally {
      await run.end();
    }
  }

  async stop(): Promise<void> {
    this.worker.shutdown();
    await this.running;
    await this.connection.close();
  }
}

/** A run whose workflow code does whatever it is told. */
export class ForgedRun {
  readonly identity: RunIdentity;
  private readonly handle: WorkflowHandle;

  constructor(handle: WorkflowHandle, identity: RunIdentity) {
    this.handle = handle;
    this.identity = identity;
  }

  /** Asks for an activity, and answers what it answers. */
  call(activity: string, ...args: unknown[]): Promise<unknown> {
    return this.handle.executeUpdate<unknown, [string, unknown[]]>('ask', {
      args: [activity, args],
    });
  }

  /** Asks for an activity, and answers how it failed. */
  async refused(activity: string, ...args: unknown[]): Promise<ApplicationFailure> {
    try {
      await this.call(activity, ...args);
    } catch (error) {
      const cause = error instanceof WorkflowUpdateFailedError ? error.cause?.cause : undefined;
      if (cause instanceof ApplicationFailure) return cause;
      throw error;
    }
    throw new Error(`Activity ${activity} did what it was asked for.`);
  }

  async end(): Promise<void> {
    await this.handle.signal('end');
  }
}
