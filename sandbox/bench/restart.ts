import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import { setTimeout as delay } from 'node:timers/promises';
import { heartbeatTimeoutMs } from '../../src/contract/activities.ts';
import { isAlive, readRecord } from '../records.ts';
import { up } from '../sandbox.ts';
import { median, timeOf, type Event, type Row } from './row.ts';

const deployment = 'deployment/wakala-api';

/**
 * A worker that is killed in the middle of a step: from the command that starts it again to the
 * start of the next step. The step itself would have taken 3 s from its own start.
 */
export async function* benchRestart(rounds: number, dir: string): AsyncGenerator<Row> {
  const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS });
  const client = new Client({ connection });
  const times: number[] = [];
  try {
    for (let round = 1; round <= rounds; round++) {
      await execa('kubectl', ['set', 'image', deployment, `*=wakala/api:2.0.${round}`]);
      await execa('kubectl', ['rollout', 'status', deployment]);
      const id = `bench-restart-${round}`;
      await execa('rollback', ['deployment', 'wakala-api', '--id', id, '--detach']);
      const handle = client.workflow.getHandle(id);
      const events = async () => (await handle.fetchHistory()).events ?? [];
      while (!scheduled(await events(), 'kubernetes.driveRollout'));
      const worker = readRecord(dir, 'worker');
      if (!worker) throw new Error('There is no worker to kill.');
      process.kill(worker.pid, 'SIGKILL');
      const restarted = Date.now();
      // Where it were not gone yet, none would be started.
      while (isAlive(worker)) await delay(5);
      await up({ dir, worker: true });
      await handle.result();
      times.push(timeOf(scheduled(await events(), 'verification.runCheck')) - restarted);
    }
  } finally {
    await connection.close();
  }
  yield {
    what: 'killed worker: restart to the next step',
    figure: Math.round(median(times)),
    unit: 'ms',
    asked: 2000 + heartbeatTimeoutMs,
    details: `fastest ${Math.round(Math.min(...times))} ms, slowest ${Math.round(Math.max(...times))} ms, of which ${heartbeatTimeoutMs} ms are the heartbeat time-out`,
  };
}

function scheduled(events: Event[], activity: string): Event | undefined {
  return events.find(
    (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === activity,
  );
}
