import { ApplicationFailure, type Client, WorkflowFailedError } from '@temporalio/client';
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

  /** Asks for an activity with what `argument` answers for the run, and answers how it failed. */
  async ask(
    activity: string,
    argument: (run: RunIdentity) => unknown,
  ): Promise<ApplicationFailure> {
    try {
      await this.call(activity, async (run) => [await argument(run)]);
    } catch (error) {
      const cause = error instanceof WorkflowFailedError ? error.cause?.cause : undefined;
      if (cause instanceof ApplicationFailure) return cause;
      throw error;
    }
    throw new Error(`Activity ${activity} did what it was asked for.`);
  }

  /** Asks for an activity, and answers what it answers. */
  async call(
    activity: string,
    args: (run: RunIdentity) => unknown[] | Promise<unknown[]>,
    workflowId = `forged-${randomBytes(4).toString('hex')}`,
  ): Promise<unknown> {
    const handle = await this.client.workflow.start('forged', {
      ...{ workflowId, taskQueue, args: [activity] },
    });
    await handle.signal('ask', await args({ workflowId, firstRunId: handle.firstExecutionRunId }));
    return handle.result();
  }

  async stop(): Promise<void> {
    this.worker.shutdown();
    await this.running;
    await this.connection.close();
  }
}
