import type { Client } from '@temporalio/client';
import { randomBytes } from 'node:crypto';
import { Locks } from '../../src/activities/lock/locks.ts';
import type { RunIdentity, Target } from '../../src/contract/plan.ts';

/** A run that holds a target and does nothing, so that what a real run waits for can be timed. */
export class FakeOwner {
  readonly identity: RunIdentity;
  private readonly client: Client;
  private readonly target: Target;

  private constructor(client: Client, target: Target, identity: RunIdentity) {
    this.client = client;
    this.target = target;
    this.identity = identity;
  }

  static async of(
    client: Client,
    target: Target,
    workflowId = `fake-owner-${randomBytes(4).toString('hex')}`,
  ): Promise<FakeOwner> {
    const run = await client.workflow.start('fakeOwner', { workflowId, taskQueue: 'nobody' });
    const identity = { workflowId, firstRunId: run.firstExecutionRunId };
    await new Locks(client).hold(target, identity);
    return new FakeOwner(client, target, identity);
  }

  /** Lets the target go, as a run does at its end. */
  async free(): Promise<void> {
    await new Locks(this.client).release(this.target, this.identity);
    await this.terminate();
  }

  /** Ends without letting the target go. */
  async terminate(): Promise<void> {
    await this.client.workflow.getHandle(this.identity.workflowId).terminate();
  }
}
