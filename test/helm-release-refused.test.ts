import { describe, expect, test } from '@jest/globals';
import { assertHelm } from '../src/activities/helm/helm-process.ts';
import { helmCommand, TestReleases } from './support/releases.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0'];
const env = useRollbackEnvironment(
  { helm: { command: helmCommand, timeout: '20s' } },
  { procedure: 'helm' },
);
const releases = new TestReleases(() => env.cluster);

describe('nothing is changed', () => {
  test.concurrent(
    'where another helm is at work, unless somebody knows that it is dead',
    async () => {
      await releases.versions('young', v1);
      await releases.interruptedUpgrade('young', v2);

      const refused = await env.run({ release: 'young' });

      expect(refused.outcome).toBe('refused');
      expect(refused.message).toMatch(/Another helm is at work .* revision 2 is pending-upgrade/);
      expect(await releases.standing('young')).toBe('2 pending-upgrade');

      const taken = await env.run({ release: 'young', takeOver: true });
      expect(taken.outcome).toBe('rolled-back');
      expect(await releases.standing('young')).toBe('3 deployed');
      expect(await releases.image('young')).toBe(v1);
    },
  );

  test.concurrent(
    'where the revision is failed or not there, and what there is is named',
    async () => {
      await releases.versions('chosen', v1);
      await releases.failedUpgrade('chosen', 'wakala/api:2.0.0-broken');
      await releases.release('chosen', { image: v3 });

      const failed = await env.run({ release: 'chosen', toRevision: 2 });
      const absent = await env.run({ release: 'chosen', toRevision: 9 });

      expect(failed.outcome).toBe('refused');
      expect(failed.message).toMatch(
        /Revision 2 .* is failed, .*it has 1 superseded, 2 failed, 3 deployed/,
      );
      expect(absent.outcome).toBe('refused');
      expect(absent.message).toContain(
        'has no revision 9 (it has 1 superseded, 2 failed, 3 deployed)',
      );
      expect(await releases.standing('chosen')).toBe('3 deployed');
    },
  );

  test.concurrent('where there is no such release or namespace, or nothing earlier', async () => {
    await releases.versions('first', v1);

    const first = await env.run({ release: 'first' });
    const release = await env.run({ release: 'absent' });
    const namespace = await env.run({ release: 'first', namespace: 'absent' });

    expect(first.outcome).toBe('refused');
    expect(first.message).toContain('no earlier good revision with other content');
    expect(release.outcome).toBe('refused');
    expect(release.message).toMatch(/no Helm release absent in namespace .*: it has .*first/);
    expect(namespace.outcome).toBe('refused');
    expect(namespace.message).toContain('There is no namespace absent');
    expect(await releases.standing('first')).toBe('1 deployed');
  });

  test.concurrent('where the release was uninstalled', async () => {
    await releases.versions('gone', v1, v2);
    await releases.helm('uninstall', 'gone', '--keep-history');

    const result = await env.run({ release: 'gone' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('is uninstalled');
  });

  test.concurrent('where somebody else has upgraded since the plan', async () => {
    await releases.versions('overtaken', v1, v2);

    const id = await releases.startInterrupted(env, 'overtaken', () =>
      releases.release('overtaken', { image: v3 }),
    );

    // It has planned again, and nobody has seen that plan yet.
    const { plan } = await env.untilWaiting(id);
    expect(plan?.summary).toContain('goes from revision 3');
    expect(await releases.standing('overtaken')).toBe('3 deployed');
    await env.decide(id, 'reject', 'on-call');
  });

  test.concurrent('where the revision to go to was pruned since the plan', async () => {
    await releases.versions('pruned', v1, v2);

    const id = await releases.startInterrupted(env, 'pruned', () =>
      env.cluster.kubectl('delete', 'secret', 'sh.helm.release.v1.pruned.v1'),
    );

    const result = await env.result(id);
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('no earlier good revision');
    expect(await releases.standing('pruned')).toBe('2 deployed');
  });

  test.concurrent.each<[string, unknown, RegExp]>([
    ['no name', {}, /"release" is missing/],
    ['a name that is none', { release: 'Wakala' }, /"release" is not a Kubernetes name/],
    ['a name that helm does not take', { release: 'a'.repeat(54) }, /longer than 53 characters/],
    ['a flag as a name', { release: '--force' }, /"release" is not a Kubernetes name/],
    ['revision 0', { release: 'a', toRevision: 0 }, /"toRevision" must be 1 or more/],
  ])('by an input with %s', async (_name, input, message) => {
    const failure = await env.failure(input);
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toMatch(message);
  });
});

test.concurrent.each<[string, string, RegExp]>([
  ['is not there', 'no-such-helm', /no-such-helm cannot be started on this worker \(ENOENT\)/],
  ['is something else', 'echo', /echo is Helm version --short; rollbacks are made with Helm 3\.8/],
])('a worker whose helm %s says so before anything is begun', async (_name, command, message) => {
  await expect(assertHelm({ command })).rejects.toThrow(message);
});
