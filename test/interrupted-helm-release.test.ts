import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkerProcess } from '../sandbox/worker-process.ts';
import type { KubernetesObject } from '../src/activities/kubernetes/objects.ts';
import { eventually } from './support/eventually.ts';
import { helmCommand, TestReleases } from './support/releases.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const crash = 'wakala/api:1.0.0-crash';
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0'];
const helm = { command: helmCommand, timeout: '20s', abandonedAfter: '2s', migrations: ['none'] };
const env = useRollbackEnvironment({ helm }, { procedure: 'helm' });
const releases = new TestReleases(() => env.cluster);

/** Versions of a release whose good one counts as available only some seconds after it is ready. */
async function slow(name: string, minReadySeconds: number): Promise<void> {
  await releases.releaseUnready(name, { image: v1, minReadySeconds });
  await releases.release(name, { image: v2, minReadySeconds: 0, 'worker.enabled': true });
}

/** Starts a rollback; ends when helm has applied the good version and waits for its pods. */
async function startSlow(name: string): Promise<string> {
  await slow(name, 6);
  const id = await env.start({ release: name });
  await eventually(`${name} has ${v1}`, async () => (await releases.image(name)) === v1);
  return id;
}

async function expectOneNewRevision(id: string, name: string): Promise<void> {
  const result = await env.result(id);
  expect(result.message).toContain('back to revision 1');
  expect(result.outcome).toBe('rolled-back');
  expect((await releases.history(name)).map(({ status }) => status)).toEqual([
    ...['superseded', 'superseded', 'deployed'],
  ]);
  expect(await releases.image(name)).toBe(v1);
  expect(await releases.deployments(name)).toEqual([name]);
}

describe('a release whose helm was killed', () => {
  test.concurrent('in the middle of an upgrade goes back to the last good revision', async () => {
    await releases.versions('upgrade', v1, v2);
    await releases.interruptedUpgrade('upgrade', v3);
    expect(await releases.standing('upgrade')).toBe('3 pending-upgrade');
    const dead = await eventually('it counts as dead', async () => {
      const dry = await env.run({ release: 'upgrade', dryRun: true });
      if (dry.outcome === 'refused') expect(dry.message).toContain('add --take-over');
      return dry.outcome === 'dry-run' && dry;
    });
    expect(dead.plan?.warnings.join('\n')).toContain('the helm that made it counts as dead');

    const result = await env.run({ release: 'upgrade' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.summary).toContain('back to revision 2');
    expect(await releases.standing('upgrade')).toBe('4 deployed');
    expect(await releases.image('upgrade')).toBe(v2);
  });

  test.concurrent('in the middle of the first install has nothing to go back to', async () => {
    await releases.interruptedUpgrade('install', v1);
    expect(await releases.standing('install')).toBe('1 pending-install');

    const result = await env.run({ release: 'install', takeOver: true });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('no earlier good revision');
    expect(await releases.standing('install')).toBe('1 pending-install');
  });

  test.concurrent(
    'in the middle of a rollback gets what was deployed before that where the run is aborted',
    async () => {
      await releases.releaseUnready('back', { image: crash });
      await releases.release('back', { image: v2, 'worker.enabled': true });
      await releases.interruptedRollback('back', 1, crash);
      expect(await releases.standing('back')).toBe('3 pending-rollback');

      const paused = await env.runUntilPaused({ release: 'back', toRevision: 1, takeOver: true });

      expect(paused.plan?.summary).toMatch(
        /from revision 2 \(.*over which revision 3 \(pending-rollback, .* back to revision 1 /,
      );
      expect(paused.plan?.differences).toContain(
        `Deployment back: spec.template.spec.containers[api].image: ${v2} -> ${crash}`,
      );
      const result = await env.abort(paused);
      expect(result.outcome).toBe('aborted');
      expect((await releases.history('back')).at(-1)).toMatchObject({
        ...{ status: 'deployed', description: 'Rollback to 2' },
      });
      expect(await releases.image('back')).toBe(v2);
      expect(await releases.deployments('back')).toEqual(['back', 'back-worker']);
    },
  );

  test.concurrent(
    'in the middle of a rollback keeps nothing of what was deployed before that',
    async () => {
      await slow('kept', 4);
      const worker = await env.cluster.get<KubernetesObject>('deployment', 'kept-worker');
      await releases.interruptedRollback('kept', 1, v1);
      // As it would be had helm been killed before it removed that.
      const { name, namespace, labels, annotations } = worker.metadata ?? {};
      await env.cluster.apply([{ ...worker, metadata: { name, namespace, labels, annotations } }]);

      const result = await env.run({ release: 'kept', takeOver: true });

      expect(result.outcome).toBe('rolled-back');
      expect(await releases.image('kept')).toBe(v1);
      expect(await releases.deployments('kept')).toEqual(['kept']);
    },
  );
});

test('a run that was terminated while helm worked is completed by the next, at once', async () => {
  const id = await startSlow('terminated');
  await env.client.workflow.getHandle(id).terminate();
  await eventually('its helm is ended', async () => {
    const { status } = (await releases.history('terminated')).at(-1) ?? {};
    return status === 'pending-rollback';
  });

  const result = await env.run({ release: 'terminated', wait: '30s' });

  expect(result.outcome).toBe('rolled-back');
  expect(result.plan?.warnings.join('\n')).toContain(`run ${id} has begun it and not finished it`);
  expect((await releases.history('terminated')).at(-1)?.status).toBe('deployed');
  expect(await releases.image('terminated')).toBe(v1);
  expect(await releases.deployments('terminated')).toEqual(['terminated']);
});

test('a run that is cancelled while only the version it leaves serves puts that back', async () => {
  const id = await startSlow('cancelled');

  await env.client.workflow.getHandle(id).cancel();
  const result = await env.result(id);

  expect(result.outcome).toBe('aborted');
  expect((await releases.history('cancelled')).map(({ status }) => status)).toEqual([
    ...['superseded', 'superseded', 'deployed'],
  ]);
  expect(await releases.image('cancelled')).toBe(v2);
  expect(await releases.deployments('cancelled')).toEqual(['cancelled', 'cancelled-worker']);
});

describe('a rollback goes on, with one new revision and nothing left of the bad version', () => {
  let worker: WorkerProcess | undefined;
  const variables = () => ({
    TEMPORAL_ADDRESS: env.temporal.address,
    ROLLBACK_CONFIG: env.settingsFile,
  });
  beforeAll(async () => {
    await env.stopWorker();
    worker = await WorkerProcess.start(variables());
  });
  afterAll(() => worker?.end('SIGKILL'));

  test('after its worker was killed while helm waited for the pods', async () => {
    const id = await startSlow('killed');

    await worker?.end('SIGKILL');
    worker = await WorkerProcess.start(variables());

    await expectOneNewRevision(id, 'killed');
  });

  test('after its worker was killed while a hook ran, and the hook is not run twice at once', async () => {
    const steps = 5;
    await releases.release('hook', {
      ...{ image: v1, 'migration.enabled': true, 'migration.steps': steps },
    });
    await releases.release('hook', {
      ...{ image: v2, 'migration.enabled': false, 'worker.enabled': true },
    });
    const jobs = await env.cluster.watch('jobs', [], '{.metadata.uid} {.status.active}');
    const id = await env.start({ release: 'hook' });
    await eventually('the hook runs', async () => {
      const names = await env.cluster.kubectl('get', 'jobs', '-o', 'name');
      return names.includes('hook-migrate');
    });

    await worker?.end('SIGKILL');
    worker = await WorkerProcess.start(variables());

    await expectOneNewRevision(id, 'hook');
    const seen = (await jobs.stop()).map((line) => line.split(' '));
    const [first, second] = [...new Set(seen.map(([uid]) => uid))];
    expect(second).toBeDefined();
    const lastOfFirst = seen.filter(([uid]) => uid === first).at(-1);
    expect(lastOfFirst?.[1]).toBeFalsy();
  });
});
