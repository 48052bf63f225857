/**
 * Runs that wait while workers come and go. After Restate's sleep with failures, DBOS' chaos tests,
 * and Temporal's tests of signals that are buffered over a reset.
 */
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkerProcess } from '../sandbox/worker-process.ts';
import { makeColours } from './support/colours.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const env = useRollbackEnvironment({
  authority: {
    rules: [{ name: 'leads', when: { targets: ['*/lead-*'] }, need: { 'team-lead': 1 } }],
  },
});
let worker: WorkerProcess | undefined;

function startWorker(): Promise<WorkerProcess> {
  return WorkerProcess.start({
    TEMPORAL_ADDRESS: env.temporal.address,
    ROLLBACK_CONFIG: env.settingsFile,
  });
}

/** Kills the worker and starts another, so many times. */
async function killWorkers(times: number): Promise<void> {
  for (let count = 0; count < times; count++) {
    await worker?.end('SIGKILL');
    worker = await startWorker();
  }
}

/** A run that waits for a lead, and their approval, which is not sent yet. */
async function waitingForALead(deployment: string): Promise<{ id: string; approval: string }> {
  await env.cluster.history(deployment, 1, v1, v2);
  worker = await startWorker();
  const id = await env.start({ deployment });
  await env.untilWaiting(id);
  const approval = await env.token(id, 'approve', 'team-lead');
  return { id, approval };
}

beforeAll(() => env.stopWorker());
afterEach(async () => {
  await worker?.end('SIGKILL');
  worker = undefined;
});

test('a wait for approvals ends when it was to end, however often its workers are killed', async () => {
  await env.cluster.history('lead-late', 1, v1, v2);
  worker = await startWorker();
  const began = Date.now();
  const id = await env.start({ deployment: 'lead-late', approvalTimeout: '8s' });

  await killWorkers(3);

  expect((await env.result(id)).outcome).toBe('expired');
  expect(Date.now() - began).toBeGreaterThan(8000);
  expect(await env.cluster.image('lead-late')).toBe(v2);
});

test('many runs whose workers are killed again and again all end, each having acted once', async () => {
  const names = Array.from({ length: 8 }, (_, index) => `many-${index}`);
  await Promise.all(names.map((name) => env.cluster.history(name, 1, v1, v2)));
  worker = await startWorker();
  const ids = await Promise.all(names.map((deployment) => env.start({ deployment })));

  await killWorkers(3);

  const results = await Promise.all(ids.map((id) => env.result(id)));
  expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['rolled-back']));
  for (const name of names) {
    const { metadata, spec } = await env.cluster.deployment(name);
    expect(spec?.template.spec?.containers[0]?.image).toBe(v1);
    // Made, released, restored: every change of the spec counts.
    expect(metadata?.generation).toBe(3);
    await env.untilFree(name);
  }
}, 120_000);

test('a step that does not get on pauses once workers have watched it for long enough, whatever becomes of them', async () => {
  await makeColours(env.cluster, 'still', { blue: { image: 'wakala/api:broken', replicas: 0 } });
  await env.cluster.patch('still-blue', { spec: { progressDeadlineSeconds: 20 } });
  worker = await startWorker();
  const input = { service: 'still', namespace: env.cluster.namespace };
  const began = Date.now();
  const id = await env.startAs('on-call', input, undefined, 'blue-green');

  // A life of a worker, and a time without one: nothing happens by which their ends could be known.
  await delay(9000);
  await worker.end('SIGKILL');
  const watchedMs = Date.now() - began;
  await delay(15_000);
  worker = await startWorker();
  const returned = Date.now();

  const paused = await env.untilPaused(id);
  const watchedAgainMs = Date.now() - returned;
  expect(paused.message).toMatch(/still-blue .*does not come up .*: no progress within 20 s/);
  expect(watchedAgainMs).toBeLessThan(18_000);
  expect(watchedMs + watchedAgainMs).toBeGreaterThan(20_000);
  await env.abort(paused);
}, 120_000);

test('decisions that came while no worker was there count once, in whatever order and number', async () => {
  const { id, approval } = await waitingForALead('lead-away');
  const late = { step: 'Wait for every replica', attempt: 1 };
  const abort = await env.token(id, 'abort', 'on-call', late);
  await worker?.end('SIGKILL');
  const handle = env.client.workflow.getHandle(id);

  await handle.signal('abort', { decision: 'abort', token: abort, ...late });
  for (let count = 0; count < 3; count++) {
    await handle.signal('approve', { decision: 'approve', token: approval });
  }
  await handle.signal('retry', { decision: 'retry', ...late });
  worker = await startWorker();

  const { outcome, authority } = await env.result(id);
  expect(outcome).toBe('rolled-back');
  const counted = authority?.decisions.filter((one) => one.counted);
  expect(counted).toMatchObject([{ decision: 'approve', by: 'team-lead' }]);
});

test('decisions that wait while a run is reset are about what was before, and change nothing', async () => {
  const { id, approval } = await waitingForALead('lead-reset');
  await worker?.end('SIGKILL');
  const handle = env.client.workflow.getHandle(id);
  await handle.signal('approve', { decision: 'approve', token: approval });

  // As the Temporal UI does it: what came after the point is sent again.
  await env.reset(id, undefined, 'again');
  worker = await startWorker();

  const { authority } = await eventually('the approval was looked at', async () => {
    const now = await env.status(id);
    return (now.authority?.decisions.length ?? 0) > 0 && now;
  });
  expect(authority?.decisions).toMatchObject([
    { counted: false, text: 'team-lead decided before the run was reset.' },
  ]);
  expect(await env.cluster.image('lead-reset')).toBe(v2);
  await eventually('a rejection counts', async () => {
    return (await env.decide(id, 'reject', 'team-lead', { note: 'enough' })).counted;
  });
  expect((await env.result(id)).outcome).toBe('rejected');
});
