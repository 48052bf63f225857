import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import { median, timeOf, type Event, type Row } from './row.ts';

const namespace = 'bench-steps';

/**
 * What durability costs, from the times in the runs' own histories on a server that writes to disk.
 * A step: scheduled to started, and answered to the next decision. Around the steps: everything
 * before the first and after the last, planning, locking and unlocking included.
 */
export async function* benchOrchestration(rounds: number): AsyncGenerator<Row> {
  await execa('kubectl', ['create', 'namespace', namespace]);
  const kubectl = (...args: string[]) => execa('kubectl', ['-n', namespace, ...args]);
  await kubectl('create', 'deployment', 'web', '--image=wakala/api:1.0.0', '--replicas=0');
  const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS });
  const client = new Client({ connection });
  const perStep: number[] = [];
  const around: number[] = [];
  try {
    for (let round = 0; round <= 2 * rounds; round++) {
      await kubectl('set', 'image', 'deployment/web', `*=wakala/api:2.0.${round}`);
      await kubectl('rollout', 'status', 'deployment/web');
      const id = `bench-orchestration-${round}`;
      await execa('rollback', ['deployment', 'web', '-n', namespace, '--id', id, '--json']);
      const { events } = await client.workflow.getHandle(id).fetchHistory();
      if (round === 0) continue;
      const costs = costsOf(events ?? []);
      perStep.push(...costs.steps);
      around.push(costs.around);
    }
  } finally {
    await connection.close();
  }
  const details = (values: number[]) =>
    `${values.length} measured, fastest ${Math.min(...values).toFixed(0)} ms, slowest ${Math.max(...values).toFixed(0)} ms`;
  yield {
    what: 'orchestration of one step',
    figure: Number(median(perStep).toFixed(1)),
    unit: 'ms',
    asked: 25,
    details: details(perStep),
  };
  yield {
    what: 'everything around the steps (plan, locks, end)',
    figure: Number(median(around).toFixed(1)),
    unit: 'ms',
    asked: 150,
    details: details(around),
  };
}

function costsOf(events: Event[]): { steps: number[]; around: number } {
  const isStep = (event: Event) =>
    event.activityTaskScheduledEventAttributes?.activityType?.name?.startsWith('kubernetes.') &&
    !event.activityTaskScheduledEventAttributes.activityType.name.startsWith('kubernetes.plan');
  const scheduled = events.filter(isStep);
  const following = (
    step: Event,
    kind: 'activityTaskStartedEventAttributes' | 'activityTaskCompletedEventAttributes',
  ) => events.find((event) => String(event[kind]?.scheduledEventId) === String(step.eventId));
  // What is decided after the last step is the end of the run, which is around the steps.
  const steps = scheduled.slice(0, -1).map((step) => {
    const completed = following(step, 'activityTaskCompletedEventAttributes');
    const decided = events.find(
      (event) => event.workflowTaskCompletedEventAttributes && timeOf(event) >= timeOf(completed),
    );
    return (
      timeOf(following(step, 'activityTaskStartedEventAttributes')) -
      timeOf(step) +
      timeOf(decided) -
      timeOf(completed)
    );
  });
  const first = scheduled[0];
  const last = scheduled.at(-1);
  const end = events.at(-1);
  const lastCompleted = last && following(last, 'activityTaskCompletedEventAttributes');
  return {
    steps,
    around: timeOf(first) - timeOf(events[0]) + timeOf(end) - timeOf(lastCompleted),
  };
}
