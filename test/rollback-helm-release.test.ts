import { describe, expect, test } from '@jest/globals';
import { helmRelease } from '../sandbox/kubernetes/owner-manifests.ts';
import { helmCommand, TestReleases } from './support/releases.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];
const [broken, crash] = ['wakala/api:2.0.0-broken', 'wakala/api:1.0.0-crash'];
const env = useRollbackEnvironment(
  { helm: { command: helmCommand, timeout: '20s' } },
  { procedure: 'helm' },
);
const releases = new TestReleases(() => env.cluster);

test.concurrent('a release that Flux has made is not upgraded again at once', async () => {
  const { namespace } = env.cluster;
  await env.cluster.apply([helmRelease('shop')]);
  const flux = (field: string) => `labels.helm\\.toolkit\\.fluxcd\\.io/${field}`;
  for (const image of [v1, v2]) {
    await releases.release('flux', {
      image,
      [flux('name')]: 'shop',
      [flux('namespace')]: namespace,
    });
  }

  const result = await env.run({ release: 'flux' });

  expect(result.outcome).toBe('rolled-back');
  expect(result.steps[0]?.title).toBe(`Pause helmrelease ${namespace}/shop`);
  const { spec } = await env.cluster.get<{ spec: object }>('helmrelease', 'shop');
  expect(spec).toMatchObject({ suspend: true });
  expect(await releases.image('flux')).toBe(v1);
});

describe('a release goes back', () => {
  test.concurrent('to what helm would restore, object by object, in one new revision', async () => {
    const make = async (name: string) => {
      await releases.release(name, { image: v1, greeting: 'first' });
      await releases.release(name, {
        ...{ image: v2, greeting: 'second', 'worker.enabled': true, replicas: 3 },
      });
    };
    await Promise.all([make('ours'), make('theirs')]);
    await releases.helm('rollback', 'theirs', '--wait');

    const result = await env.run({ release: 'ours' });

    expect(result.message).toContain('goes from revision 2');
    expect(result.outcome).toBe('rolled-back');
    const seen = async (name: string) => {
      const get = async (kind: string, path: string) =>
        (await env.cluster.kubectl('get', kind, name, '-o', `jsonpath={${path}}`)).replaceAll(
          name,
          'NAME',
        );
      return {
        history: (await releases.history(name)).map(({ revision, status, description }) => ({
          ...{ revision, status, description },
        })),
        manifest: (await releases.helm('get', 'manifest', name)).replaceAll(name, 'NAME'),
        deployments: (await releases.deployments(name)).length,
        spec: await get('deployment', '.spec'),
        config: await get('configmap', '.data'),
        secret: await get('secret', '.data'),
      };
    };
    expect(await seen('ours')).toEqual(await seen('theirs'));
    expect(await releases.deployments('ours')).toEqual(['ours']);
  });

  test.concurrent(
    'to the last good revision, past a failed one that helm alone would take',
    async () => {
      await releases.versions('past', v1);
      await releases.failedUpgrade('past', broken);
      await releases.release('past', { image: v2 });
      expect((await releases.history('past')).map(({ status }) => status)).toEqual([
        ...['superseded', 'failed', 'deployed'],
      ]);

      const result = await env.run({ release: 'past' });

      expect(result.outcome).toBe('rolled-back');
      expect(result.plan?.summary).toMatch(/from revision 3 .* back to revision 1 /);
      expect(await releases.image('past')).toBe(v1);
      expect((await releases.history('past')).at(-1)?.description).toBe('Rollback to 1');
    },
  );

  test.concurrent('from a failed upgrade, while its broken pods are still there', async () => {
    await releases.versions('failed', v1);
    await releases.failedUpgrade('failed', broken);

    const result = await env.run({ release: 'failed' });

    expect(result.outcome).toBe('rolled-back');
    expect(await releases.standing('failed')).toBe('3 deployed');
    const { status } = await env.cluster.deployment('failed');
    expect(status).toMatchObject({ availableReplicas: 2, updatedReplicas: 2, replicas: 2 });
  });

  test.concurrent('to the revision that is named', async () => {
    await releases.versions('named', v1, v2, v3);

    const result = await env.run({ release: 'named', toRevision: 1 });

    expect(result.outcome).toBe('rolled-back');
    expect(await releases.image('named')).toBe(v1);
  });

  test.concurrent('once: a second run never brings the bad version back', async () => {
    await releases.versions('twice', v1, v2);
    expect((await env.run({ release: 'twice' })).outcome).toBe('rolled-back');

    const second = await env.run({ release: 'twice' });
    const named = await env.run({ release: 'twice', toRevision: 1 });

    expect(second.outcome).toBe('no-op');
    expect(second.message).toMatch(/already at revision 3 .* rolled it back from revision 2/);
    expect(named.outcome).toBe('no-op');
    expect(await releases.standing('twice')).toBe('3 deployed');
    expect(await releases.image('twice')).toBe(v1);
  });

  test.concurrent('not after a colleague has done so with helm', async () => {
    await releases.versions('colleague', v1, v2);
    await releases.helm('rollback', 'colleague', '1', '--wait');

    const result = await env.run({ release: 'colleague' });

    expect(result.outcome).toBe('no-op');
    expect(result.message).toContain('helm rolled it back to revision 1');
    expect(await releases.image('colleague')).toBe(v1);
  });

  test.concurrent('and no run is said to have done what a colleague did after it', async () => {
    await releases.versions('credited', v1, v2);
    const { workflowId } = await env.run({ release: 'credited' });
    await releases.release('credited', { image: v3 });
    await releases.helm('rollback', 'credited', '3', '--wait');

    const result = await env.run({ release: 'credited' });

    expect(result.outcome).toBe('no-op');
    expect(result.message).toContain('already at revision 5');
    expect(result.message).toContain('helm rolled it back to revision 3');
    expect(result.message).not.toContain(workflowId);
  });

  test.concurrent('again after the next bad upgrade, to the good content', async () => {
    await releases.versions('again', v1, v2);
    await env.run({ release: 'again' });
    await releases.release('again', { image: v3 });

    const result = await env.run({ release: 'again' });

    expect(result.outcome).toBe('rolled-back');
    expect(await releases.image('again')).toBe(v1);
  });

  test.concurrent(
    'not to the bad version that it came from, though it was deployed anew unchanged',
    async () => {
      await releases.versions('unchanged', v1, v2);
      await env.run({ release: 'unchanged' });
      await releases.release('unchanged', { image: v1 });

      const result = await env.run({ release: 'unchanged' });

      expect(result.outcome).toBe('refused');
      expect(result.message).toContain('no earlier good revision with other content');
      expect(await releases.image('unchanged')).toBe(v1);
    },
  );
});

describe('the plan', () => {
  test.concurrent('says what differs by object and place, and no secret', async () => {
    await releases.release('told', { image: v1, password: 'hunter2', greeting: 'one' });
    await releases.release('told', {
      ...{ image: v2, password: 'hunter3', greeting: 'two', 'worker.enabled': true },
    });

    const { plan, workflowId } = await env.run({ release: 'told', dryRun: true });

    expect(plan?.differences).toEqual([
      'ConfigMap told: data.greeting: changed',
      'Secret told: changed',
      `Deployment told: spec.template.spec.containers[api].image: ${v2} -> ${v1}`,
      'Deployment told-worker: removed',
    ]);
    const { events } = await env.client.workflow.getHandle(workflowId).fetchHistory();
    expect(JSON.stringify(events)).not.toMatch(/hunter[23]/);
    expect(plan?.changes.map(({ kind }) => kind)).toEqual(['helm/release']);
  });

  test.concurrent('asks for a lead where a hook migrates, and the hook runs', async () => {
    await releases.release('migrated', { image: v1, 'migration.enabled': true });
    await releases.release('migrated', { image: v2 });
    const id = await env.start({ release: 'migrated' });
    const { plan, authority } = await env.untilWaiting(id);
    expect(authority?.missing).toMatch(/1 team-lead \(database changes.*helm\/migration/);
    expect(plan?.warnings.join('\n')).toContain('Job migrated-migrate (pre-rollback)');
    expect(await releases.standing('migrated')).toBe('2 deployed');

    await env.decide(id, 'approve', 'team-lead');

    expect((await env.result(id)).outcome).toBe('rolled-back');
    const path = 'jsonpath={.status.succeeded}';
    expect(await env.cluster.kubectl('get', 'job', 'migrated-migrate', '-o', path)).toBe('1');
  });
});

describe('a rollback that itself fails', () => {
  test.concurrent(
    'pauses with the reason of the pod, and goes back when somebody signs that',
    async () => {
      await releases.releaseUnready('crashing', { image: crash });
      await releases.release('crashing', { image: v2, 'worker.enabled': true });

      const paused = await env.runUntilPaused({ release: 'crashing' });

      expect(paused.message).toMatch(/CrashLoopBackOff.*container=api/);
      const { plan } = await env.run({ release: 'crashing', dryRun: true });
      expect(plan?.warnings.join('\n')).toContain(
        `run ${paused.workflowId} has begun it and not finished it, and holds the release if it is still open`,
      );
      const result = await env.abort(paused);
      expect(result.message).toContain('aborted at step "Roll the release back"');
      expect(result.outcome).toBe('aborted');
      expect(await releases.image('crashing')).toBe(v2);
      // What the run began and did not finish is gone from the history.
      expect((await releases.history('crashing')).map(({ status }) => status)).toEqual([
        ...['superseded', 'superseded', 'deployed'],
      ]);
      expect(await releases.deployments('crashing')).toEqual(['crashing', 'crashing-worker']);
    },
  );

  test.concurrent(
    'goes back by itself where what it left serves and what it has does not',
    async () => {
      await releases.releaseUnready('compensated', { image: crash });
      await releases.release('compensated', { image: v2 });

      const result = await env.run({ release: 'compensated', onFailure: 'compensate' });

      expect(result.message).toContain('CrashLoopBackOff');
      expect(result.outcome).toBe('compensated');
      expect(await releases.image('compensated')).toBe(v2);
    },
  );

  test.concurrent('pauses with the reason of the hook', async () => {
    await releases.release('hooked', {
      ...{ image: v1, 'migration.enabled': true, 'migration.deadline': 2 },
      'migration.image': 'wakala/migrate:pull',
    });
    await releases.release('hooked', { image: v2 });
    const id = await env.start({ release: 'hooked' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');

    const paused = await env.untilPaused(id);

    expect(paused.message).toContain('hook Job hooked-migrate: DeadlineExceeded');
    expect(await releases.image('hooked')).toBe(v2);
    expect((await env.abort(paused)).outcome).toBe('aborted');
    expect((await releases.history('hooked')).at(-1)?.status).toBe('deployed');
    expect(await releases.image('hooked')).toBe(v2);
  });
});
