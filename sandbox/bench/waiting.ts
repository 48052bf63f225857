import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import { SigningKey } from '../../src/authority/private-key.ts';
import { signDecision } from '../../src/client/sign-decision.ts';
import type { DecisionName } from '../../src/contract/decision.ts';
import { taskQueue, type RunStatus } from '../../src/contract/run.ts';
import { status } from '../sandbox.ts';
import { median, timeOf, type Row } from './row.ts';

const namespace = 'bench-waiting';
const [few, many] = [200, 1000];

/** Runs that wait for people: how soon they go on, and what so many of them cost. */
export async function* benchWaiting(rounds: number, dir: string): AsyncGenerator<Row> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  const kubectl = (...args: string[]) => execa('kubectl', ['-n', namespace, ...args]);
  await kubectl('create', 'deployment', 'web', '--image=wakala/api:1.0.0', '--replicas=0');
  const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS });
  const runs = new WaitingRuns(new Client({ connection }));
  try {
    const times: number[] = [];
    for (let round = 0; round <= 2 * rounds; round++) {
      await kubectl('set', 'image', 'deployment/web', `*=wakala/api:2.0.${round}`);
      await kubectl('rollout', 'status', 'deployment/web');
      const took = await runs.approve(`bench-approval-${round}`);
      if (round > 0) times.push(took);
    }
    yield {
      what: 'approval sent to next step started',
      figure: Math.round(median(times)),
      unit: 'ms',
      asked: 100,
      details: `fastest ${Math.round(Math.min(...times))} ms, slowest ${Math.round(Math.max(...times))} ms`,
    };

    await kubectl('set', 'image', 'deployment/web', '*=wakala/api:3.0.0');
    await kubectl('rollout', 'status', 'deployment/web');
    const pid = status(dir).find(({ name }) => name === 'worker')?.pid ?? 0;
    await runs.startMany(0, few);
    const before = await residentKilobytes(pid);
    await runs.startMany(few, many);
    const after = await residentKilobytes(pid);
    yield {
      what: `memory that one more waiting run takes, of ${many}`,
      figure: Number((Math.max(0, after - before) / (many - few)).toFixed(1)),
      unit: 'KB',
      asked: 50,
      details: `worker ${megabytes(before)} MB with ${few} runs waiting, ${megabytes(after)} MB with ${many}`,
    };
  } finally {
    await connection.close();
  }
}

class WaitingRuns {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Starts a run that nobody has signed, and answers its status once it waits. */
  private async start(workflowId: string): Promise<RunStatus> {
    const handle = await this.client.workflow.start('rollbackDeployment', {
      ...{ workflowId, taskQueue, args: [{ deployment: 'web', namespace }] },
    });
    for (;;) {
      const status = await handle.query<RunStatus>('status');
      if (status.phase === 'awaiting-approval') return status;
      if (status.phase === 'done') throw new Error(`Run ${workflowId}: ${status.message}`);
    }
  }

  /** Milliseconds from sending an approval to the start of the first step. */
  async approve(workflowId: string): Promise<number> {
    const { runId: run, plan } = await this.start(workflowId);
    const key = await SigningKey.read(process.env.ROLLBACK_KEY ?? '');
    const decision: DecisionName = 'approve';
    const token = await signDecision(key, {
      ...{ aud: `default/${workflowId}`, run, decision, digest: plan?.digest ?? '' },
    });
    const handle = this.client.workflow.getHandle(workflowId);
    const sent = Date.now();
    await handle.executeUpdate('decide', { args: [{ decision, token }] });
    await handle.result();
    const { events } = await handle.fetchHistory();
    const step = events?.find((event) =>
      event.activityTaskScheduledEventAttributes?.activityType?.name?.endsWith('restoreTemplate'),
    );
    const started = events?.find(
      ({ activityTaskStartedEventAttributes: attributes }) =>
        attributes && String(attributes.scheduledEventId) === String(step?.eventId),
    );
    return timeOf(started) - sent;
  }

  /** Starts the runs from one number to the next, some at once, until all of them wait. */
  async startMany(from: number, to: number): Promise<void> {
    let next = from;
    const one = async () => {
      while (next < to) await this.start(`bench-waiting-${next++}`);
    };
    await Promise.all(Array.from({ length: 10 }, one));
  }
}

async function residentKilobytes(pid: number): Promise<number> {
  const { stdout } = await execa('ps', ['-o', 'rss=', '-p', String(pid)]);
  return Number(stdout);
}

function megabytes(kilobytes: number): number {
  return Math.round(kilobytes / 1024);
}
