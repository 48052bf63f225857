import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CommandLine } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { exampleSettings, setFlag, stored, systemAt } from './support/features.ts';
import { keyFileOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import type { HistoryEvent } from './support/runs.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0', 'wakala/api:3.0.0'];
const never = 'wakala/api:1.0.0-broken';
const databases = new TestDatabases();
const shop = databases.nameOf('shop');
const env = useRollbackEnvironment({
  authority: {
    rules: [
      { name: 'both', when: { targets: ['*/both-*'] }, need: { 'team-lead': 1, cto: 1 } },
      { name: 'databases', when: { kinds: ['database/*'] }, need: { 'team-lead': 1 } },
    ],
  },
  caches: exampleSettings().caches,
  features: { flags: systemAt(process.env.WAKALA_URL ?? '') },
  databases: {
    shop: {
      ...{ url: databases.url(shop), backups: { folder: databases.folder } },
      verify: [{ query: 'select count(*) from orders', atLeast: 11 }],
    },
  },
});
afterAll(() => databases.close());
let cli: CommandLine;
beforeAll(() => {
  cli = new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: env.settingsFile,
  });
});

/** A run that has restored the template, and whose pods do not get ready. */
async function rollingOut(name: string): Promise<string> {
  await env.cluster.kubectl('create', 'deployment', name, `--image=${never}`, '--replicas=2');
  await env.cluster.release(name, v2);
  const id = await env.start({ deployment: name });
  await env.cluster.pods(name, never);
  return id;
}

test('a run that was terminated halfway goes on where it was, and does nothing twice', async () => {
  const id = await rollingOut('halfway');
  const handle = env.client.workflow.getHandle(id);
  await eventually('the rollout is being driven', async () =>
    (await env.status(id)).steps.some(({ title }) => title === 'Wait for every replica'),
  );
  await handle.terminate('by mistake');
  const { metadata } = await env.cluster.deployment('halfway');

  const resumed = cli.run('resume', id);
  const status = await eventually('the run goes on', async () => {
    const { name } = (await handle.describe()).status;
    return name === 'RUNNING' && env.status(id);
  });

  expect(status.steps[0]).toMatchObject({ title: 'Restore the pod template', state: 'done' });
  expect((await env.cluster.deployment('halfway')).metadata?.generation).toBe(metadata?.generation);
  await handle.cancel();
  const { exitCode, stderr } = await resumed;
  expect(exitCode).toBe(1);
  expect(stderr).toContain('is taken up from where it was');
  expect(await env.cluster.image('halfway')).toBe(v2);
});

test('a run that was terminated halfway leaves alone what somebody has deployed since', async () => {
  const id = await rollingOut('overtaken');
  await eventually('the rollout is being driven', async () =>
    (await env.status(id)).steps.some(({ title }) => title === 'Wait for every replica'),
  );
  await env.client.workflow.getHandle(id).terminate('by mistake');
  await env.cluster.release('overtaken', v3);

  expect((await cli.run('resume', id, '--detach')).exitCode).toBe(0);

  const paused = await env.untilPaused(id);
  expect(paused.message).toContain('Somebody else changed Deployment overtaken');
  expect(await env.cluster.image('overtaken')).toBe(v3);
  // A decision counts from the second after the reset on.
  const result = await eventually('the run is aborted', () =>
    env.abort(paused).catch(() => undefined),
  );
  expect(result.outcome).toBe('failed');
  expect(await env.cluster.image('overtaken')).toBe(v3);
});

describe('what was approved of a run that had not begun', () => {
  /** A run that waits for the second of two approvals, and is terminated then. */
  async function halfApproved(name: string): Promise<string> {
    await env.cluster.history(name, 1, v1, v2);
    const id = await env.start({ deployment: name });
    await env.untilWaiting(id);
    expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(true);
    await env.client.workflow.getHandle(id).terminate('by mistake');
    return id;
  }

  test('is kept for the same plan where an on-call engineer resumes it', async () => {
    const id = await halfApproved('both-kept');

    const { stderr } = await cli.run('resume', id, '--detach');

    expect(stderr).toMatch(/team-lead approved; still missing: 1 cto/);
    expect((await env.status(id)).authority?.missing).toMatch(/^1 cto/);
    expect((await env.decide(id, 'approve', 'cto')).counted).toBe(true);
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('is not kept for another plan', async () => {
    const id = await halfApproved('both-other');
    await env.cluster.release('both-other', v3);

    const { stderr } = await cli.run('resume', id, '--detach');

    expect(stderr).toContain('does not count any more: The token is for plan');
    expect((await env.status(id)).authority?.missing).toMatch(
      /1 on-call .*; 1 team-lead .*; 1 cto/,
    );
  });

  test('is not kept where somebody had rejected it, though a reset has cut that off', async () => {
    await env.cluster.history('both-no', 1, v1, v2);
    const id = await env.start({ deployment: 'both-no' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');
    await env.decide(id, 'reject', 'cto', { note: 'not today' });
    expect((await env.result(id)).outcome).toBe('rejected');
    const decided = (events: HistoryEvent[]) =>
      events.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
    await env.reset(id, (events) => decided(events) < 2);
    await env.untilWaiting(id);
    await env.client.workflow.getHandle(id).terminate('by somebody else');

    const { stderr } = await cli.run('resume', id, '--detach');

    expect(stderr).not.toContain('approved');
    expect((await env.status(id)).authority?.granted).toBe(false);
    expect((await env.decide(id, 'approve', 'cto')).counted).toBe(false);
    expect(await env.cluster.image('both-no')).toBe(v2);
  });

  test('is not kept by who may not start a run, nor by nobody', async () => {
    const id = await halfApproved('both-who');

    const byCto = await cli.run('resume', id, '--detach', '--key', keyFileOf('cto'));

    // Resuming is a word for the start, and approves nothing.
    expect(byCto.stderr).toMatch(/not count any more: cto has the role cto; missing: 1 on-call/);
    expect((await env.status(id)).authority?.missing).toMatch(
      /^1 on-call .*; 1 team-lead .*; 1 cto/,
    );
    await env.client.workflow.getHandle(id).terminate('again');
    const byNobody = await cli.with({ ROLLBACK_KEY: undefined }).run('resume', id, '--detach');
    expect(byNobody.stderr).toContain('Nobody has signed that the run was only interrupted');
    const old = await env.token(id, 'approve', 'team-lead', { resumes: true });
    expect((await env.send(id, { decision: 'approve', token: old })).counted).toBe(false);
    expect(await env.cluster.image('both-who')).toBe(v2);
  });
});

test('a database that was being restored goes on with its copy and its approval', async () => {
  await databases.create(shop);
  await databases.dump(shop, new Date(Date.now() - 60_000));
  const input = { to: new Date().toISOString() };
  const id = await env.startAs('on-call', input, 'resumed-database', 'database');
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'team-lead');
  // The copy has one row too few.
  expect((await env.untilPaused(id)).pausedAt[0]?.step).toBe('Verify the copy');
  await env.client.workflow.getHandle(id).terminate('by mistake');
  await databases.sql(
    (await databases.names()).find((name) => name !== shop) ?? '',
    `insert into orders values (11, 'by hand')`,
  );

  const resumed = cli.run('resume', id);
  await eventually('the run goes on', async () => {
    const { status } = await env.client.workflow.getHandle(id).describe();
    return status.name === 'RUNNING';
  });
  // A decision counts from the second after the reset on.
  await eventually('a decision counts', async () => {
    const { counted } = await env.decideStep(await env.untilPaused(id), 'retry');
    return counted;
  });

  expect((await resumed).exitCode).toBe(0);
  expect(await databases.orders(shop)).toBe(11);
});

test('a feature that was being reduced goes on with the share that stands there', async () => {
  await setFlag('resumed', { enabled: true, rollout_percentage: 100 });
  const input = { feature: 'resumed', watch: '1h', percentages: [50, 0] };
  const id = await env.startAs('on-call', input, 'resumed-feature', 'reduce-feature');
  await eventually('a share is watched', async () => (await env.status(id)).pausedAt.length > 0);
  await env.client.workflow.getHandle(id).terminate('by mistake');

  const { exitCode, stderr } = await cli.run('resume', id);

  expect(stderr).toContain('was ended from outside after it had begun, so a new one');
  expect(exitCode).toBe(0);
  expect(await stored('resumed')).toMatchObject({ rollout_percentage: 0 });
});

test('a run that has gone back is not taken up: a new one begins', async () => {
  await env.cluster.history('again', 2, v1, v2);
  const owner = await env.occupy('again');
  const id = await env.start({ deployment: 'again', reason: 'errors' });
  expect((await env.result(id)).outcome).toBe('busy');
  await owner.free();

  const { exitCode, stderr, stdout } = await cli.run('resume', id);

  expect(exitCode).toBe(0);
  expect(stderr).toContain(
    `Run ${id} has ended by itself, so a new one with the same input begins.`,
  );
  expect(stdout).toContain('Asked for by on-call');
  expect(stdout).toContain('"errors"');
  expect(await env.cluster.image('again')).toBe(v1);
});

test('a run that is open or done is left alone, with what to do instead', async () => {
  await env.cluster.history('done', 1, v1, v2);
  const id = await env.start({ deployment: 'done' });
  await env.result(id);
  const done = await cli.run('resume', id);
  expect(done).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('nothing to resume') });
  await env.cluster.release('done', v3);
  const open = await env.start({ deployment: 'done' }, undefined, 'nobody');
  await env.untilWaiting(open);
  const waiting = await cli.run('resume', open);
  expect(waiting).toMatchObject({
    ...{ exitCode: 2, stderr: expect.stringContaining(`rollback watch ${open}`) },
  });
  expect((await cli.run('resume', 'nothing')).exitCode).toBe(2);
});
