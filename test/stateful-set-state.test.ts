import { describe, expect, test } from '@jest/globals';
import type { RunResult, RunStatus } from '../src/contract/run.ts';
import { statefulSetManifests } from '../sandbox/kubernetes/manifests.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { StatefulSets, v1, v2 } from './support/stateful-sets.ts';

const closedPort = { url: 'http://127.0.0.1:1/health', retries: 0 };
const red = (name: string) => ({
  statefulSet: name,
  service: name,
  checks: { health: closedPort },
});
const env = useRollbackEnvironment(
  {
    services: {
      ...{ unproved: red('unproved'), kept: red('kept'), worse: red('worse') },
      proved: {
        ...{ statefulSet: 'proved', service: 'proved' },
        checks: { logs: { selector: 'app=proved', contains: 'ERROR' } },
      },
    },
  },
  { procedure: 'statefulset' },
);
const sets = new StatefulSets(() => env.cluster);
const open = (name: string) => ({ app: name, version: 'stable' });
const closed = (name: string) => ({ app: name, version: 'maintenance' });
const states = ({ steps }: Pick<RunResult | RunStatus, 'steps'>) =>
  steps.map(({ title, state }) => `${title}: ${state}`);

describe('while a StatefulSet goes back', () => {
  test.concurrent('it gets no traffic, and then exactly what it got before', async () => {
    await sets.history('proved', [v1, v2]);
    const watch = await env.cluster.watch('service', ['proved'], '{.spec.selector}');

    const result = await env.run({ statefulSet: 'proved' });

    expect(result.outcome).toBe('rolled-back');
    expect(states(result)).toEqual([
      'Stop the traffic: done',
      'Back up the state of proved-0: done',
      'Back up the state of proved-1: done',
      'Restore the pod template: done',
      'Wait for every replica: done',
      'Check logs: done',
      'Resume the traffic: done',
    ]);
    expect(result.steps[5]?.text).toContain('of 2 new pods');
    const seen = (await watch.stop()).map((line) => JSON.parse(line) as object);
    expect(seen).toContainEqual(closed('proved'));
    expect(await sets.selector('proved')).toEqual(open('proved'));
    const warnings = result.plan?.warnings.join('\n');
    expect(warnings).toContain('nobody answers for Service proved: no pod with app=proved,version');
  });

  test.concurrent('traffic stays stopped while a check is red, whoever goes back', async () => {
    await sets.history('unproved', [v1, v2], { replicas: 1 });

    const paused = await env.runUntilPaused({ statefulSet: 'unproved', onFailure: 'compensate' });

    expect(paused.message).toContain('health: 5 of 5 requests');
    expect(await sets.selector('unproved')).toEqual(closed('unproved'));
    expect(await sets.images('unproved')).toEqual([v1]);
    const result = await env.abort(paused);
    expect(result.outcome).toBe('aborted');
    expect(await sets.selector('unproved')).toEqual(open('unproved'));
    expect(await sets.images('unproved')).toEqual([v2]);
  });

  test.concurrent(
    'an abort brings back even what does not get ready, and its traffic',
    async () => {
      const broken = 'wakala/api:2.0.0-broken';
      await sets.history('worse', [v1], { replicas: 2 });
      await sets.release('worse', broken);
      await eventually('worse-1 is broken', async () => (await sets.images('worse'))[1] === broken);
      const paused = await env.runUntilPaused({ statefulSet: 'worse' });

      const { workflowId } = paused;
      expect((await env.decideStep(paused, 'abort')).counted).toBe(true);
      const result = await env.result(workflowId);

      expect(result.outcome).toBe('aborted');
      expect(await sets.images('worse')).toEqual([v1, broken]);
      expect(await sets.selector('worse')).toEqual(open('worse'));
    },
  );

  test.concurrent('pods that are there for maintenance answer', async () => {
    await sets.history('polite', [v1, v2], { replicas: 1 });
    await env.cluster.kubectl('run', 'sorry', '--image=wakala/api:1.0.0');
    await env.cluster.kubectl('label', 'pod', 'sorry', 'app=polite', 'version=maintenance');
    await env.cluster.kubectl('wait', 'pod/sorry', '--for=condition=Ready', '--timeout=20s');

    const result = await env.run({ statefulSet: 'polite', service: 'polite', skipBackup: true });

    expect(result.outcome).toBe('rolled-back');
    const warnings = result.plan?.warnings.join('\n');
    expect(warnings).toContain('Meanwhile 1 ready pods with app=polite,version=maintenance get');
    expect(result.steps[0]?.text).toContain('has 1 ready endpoints with app=polite,version=maint');
    expect(await sets.selector('polite')).toEqual(open('polite'));
  });

  test.concurrent('the traffic of others is left alone', async () => {
    await sets.history('alone', [v1, v2], { replicas: 1 });
    await env.cluster.kubectl('create', 'service', 'clusterip', 'foreign', '--tcp=80');

    const foreign = await env.run({ statefulSet: 'alone', service: 'foreign' });
    expect(foreign.outcome).toBe('refused');
    expect(foreign.message).toContain('Service foreign selects app=foreign, which the pods that');
    const absent = await env.run({ statefulSet: 'alone', service: 'absent' });
    expect(absent.message).toContain('There is no Service absent');
    const unnamed = await env.run({ statefulSet: 'alone', dryRun: true });
    expect(unnamed.plan?.warnings.join('\n')).toContain('Traffic goes on meanwhile (alone)');
    await env.cluster.kubectl('set', 'selector', 'service/alone', 'app=alone,version=maintenance');
    const stopped = await env.run({ statefulSet: 'alone', service: 'alone', dryRun: true });
    expect(stopped.plan?.warnings.join('\n')).toContain('already selects app=alone,version=maint');
    expect(stopped.plan?.targets.map(({ kind }) => kind)).toEqual(['statefulset']);
  });
});

describe('the state as it was', () => {
  test.concurrent('is in the archive that the run names, whole', async () => {
    await sets.history('saved', [v1, v2]);
    await sets.write('saved-1', 'of the second');

    const result = await env.run({ statefulSet: 'saved' });

    const text = result.steps.find(({ title }) => title.endsWith('saved-1'))?.text ?? '';
    const [, path = '', bytes, sha256] =
      /^(\/backup\/state-\S+\.tar\.gz): ([\d,]+) bytes, SHA-256 ([0-9a-f]{64}), 1 file\.$/.exec(
        text,
      ) ?? [];
    expect(await sets.exec('saved-1', 'sha256sum', path)).toContain(sha256);
    const size = await sets.exec('saved-1', 'stat', '-c', '%s', path);
    expect(Number(size)).toBe(Number(bytes?.replaceAll(',', '')));
    expect(await sets.archives('saved-1')).toHaveLength(1);
    await sets.write('saved-1', 'something else');
    await sets.exec('saved-1', 'tar', '-xzf', path, '-C', '/');
    expect(await sets.read('saved-1')).toBe('of the second');
  });

  test.concurrent('comes back from an archive only with a lead’s word', async () => {
    await sets.history('lost', [v1], { replicas: 1 });
    await sets.exec('lost-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');
    await sets.release('lost', v2);
    await sets.rollout('lost');
    await sets.write('lost-0', 'spoilt');

    const id = await env.start({ statefulSet: 'lost', service: 'lost', restore: 'previous' });
    const waiting = await env.untilWaiting(id);
    expect(waiting.message).toContain('team-lead');
    expect(waiting.plan?.summary).toContain('lost-0 is restored from state-previous.tar.gz');
    expect(await sets.selector('lost')).toEqual(open('lost'));
    await env.decide(id, 'approve', 'team-lead');

    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(await sets.read('lost-0')).toBe('before');
    expect(await sets.images('lost')).toEqual([v1]);
    expect(await sets.selector('lost')).toEqual(open('lost'));

    // The archive that the run itself made leads back, without another change of the version.
    const back = await env.start({ statefulSet: 'lost', restore: id });
    await env.untilWaiting(back);
    await env.decide(back, 'approve', 'team-lead');
    expect((await env.result(back)).outcome).toBe('rolled-back');
    expect(await sets.read('lost-0')).toBe('spoilt');
    expect(await sets.images('lost')).toEqual([v1]);
  });

  test.concurrent('is put back by an abort, from the backup that the run made', async () => {
    await sets.history('kept', [v1, v2], { replicas: 1 });
    await sets.exec('kept-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');
    await sets.write('kept-0', 'newer');

    const id = await env.start({ statefulSet: 'kept', restore: 'previous' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');
    const paused = await env.untilPaused(id);
    expect(await sets.read('kept-0')).toBe('before');
    const result = await env.abort(paused);

    expect(result.outcome).toBe('aborted');
    expect(await sets.read('kept-0')).toBe('newer');
    expect(await sets.images('kept')).toEqual([v2]);
    expect(await sets.selector('kept')).toEqual(open('kept'));
  });

  test.concurrent(
    'is not overwritten by an archive that is cut off, empty or not there',
    async () => {
      await sets.history('cut', [v1, v2], { replicas: 1 });
      await sets.exec(
        'cut-0',
        'dd',
        'if=/dev/urandom',
        'of=/tmp/rollback-cut',
        'bs=64k',
        'count=1',
      );
      await sets.exec('cut-0', 'tar', '-czf', '/backup/state-cut.tar.gz', '/tmp/rollback-cut');
      await sets.exec('cut-0', 'truncate', '-s', '30000', '/backup/state-cut.tar.gz');
      await sets.exec('cut-0', 'mkdir', '/data/empty');
      await sets.exec('cut-0', 'tar', '-czf', '/backup/state-empty.tar.gz', '/data/empty');
      const { metadata } = await sets.get('cut');

      const restore = async (archive: string) =>
        env.run({ statefulSet: 'cut', service: 'cut', restore: archive });
      const [cut, empty, absent] = [
        await restore('state-cut.tar.gz'),
        await restore('state-empty.tar.gz'),
        await restore('state-absent.tar.gz'),
      ];

      expect(cut.message).toMatch(/tar in pod cut-0, .*: state-cut.tar.gz cannot be listed/);
      expect(empty.message).toContain('state-empty.tar.gz in pod cut-0 has no file in it');
      expect(absent.message).toContain(
        'There is no archive state-absent.tar.gz in /backup of cut-0',
      );
      for (const { outcome } of [cut, empty, absent]) expect(outcome).toBe('refused');
      expect((await sets.get('cut')).metadata?.generation).toBe(metadata?.generation);
      expect(await sets.selector('cut')).toEqual(open('cut'));
      expect(await sets.read('cut-0')).toBe('before');
    },
  );

  test.concurrent('nor by one that was changed after it was approved', async () => {
    await sets.history('swapped', [v1, v2], { replicas: 1 });
    await sets.exec('swapped-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');
    await sets.write('swapped-0', 'newer');

    const id = await env.start({ statefulSet: 'swapped', restore: 'previous' });
    await env.untilWaiting(id);
    await sets.exec('swapped-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');
    await env.decide(id, 'approve', 'team-lead');

    const paused = await env.untilPaused(id);
    expect(paused.message).toContain('is not the archive that was approved');
    expect(await sets.read('swapped-0')).toBe('newer');
    await env.abort(paused);
  });

  test.concurrent(
    'nor where there is no way back, because the backup went with its pod',
    async () => {
      await sets.history('gone', [v1, v2], { replicas: 1, backup: { emptyDir: {} } });
      await sets.exec('gone-0', 'tar', '-czf', '/data/state-previous.tar.gz', '/data/state');
      await sets.exec('gone-0', 'mkdir', '-p', '/backup');
      await sets.exec('gone-0', 'cp', '/data/state-previous.tar.gz', '/backup/');

      const id = await env.start({ statefulSet: 'gone', restore: 'previous' });
      const { plan } = await env.untilWaiting(id);
      expect(plan?.warnings.join('\n')).toContain('/backup is on no volume that outlives gone-0');
      await env.decide(id, 'approve', 'team-lead');

      const paused = await env.untilPaused(id);
      expect(paused.message).toContain('The backup that this run made of gone-0 is not in /backup');
      const result = await env.abort(paused);
      expect(result.outcome).toBe('aborted');
      expect(await sets.images('gone')).toEqual([v2]);
    },
  );

  test.concurrent('must be known: no backup of nothing, and none where nothing runs', async () => {
    await sets.history('empty', [v1, v2], { replicas: 1 });
    await sets.exec('empty-0', 'rm', '/data/state');
    const empty = await env.run({ statefulSet: 'empty', service: 'empty' });
    expect(empty.outcome).toBe('refused');
    expect(empty.message).toMatch(/There is nothing in \/data of pod empty-0, .*--skip-backup/);
    expect(await sets.selector('empty')).toEqual(open('empty'));

    const pull = 'wakala/api:2.0.0-pull';
    await env.cluster.apply(statefulSetManifests('dark', v1, { replicas: 1 }));
    await sets.rollout('dark');
    await sets.release('dark', pull);
    await eventually('dark-0 cannot start', async () => (await sets.images('dark'))[0] === pull);
    const dark = await env.run({ statefulSet: 'dark' });
    expect(dark.outcome).toBe('refused');
    expect(dark.message).toContain('No pod of StatefulSet dark');
    expect((await env.run({ statefulSet: 'dark', skipBackup: true })).outcome).toBe('rolled-back');
  });

  test.concurrent('of pods that run is saved though another one does not', async () => {
    await sets.history('half', [v1]);
    const crash = 'wakala/api:2.0.0-crash';
    await sets.release('half', crash);
    await eventually('half-1 crashes', async () => (await sets.images('half'))[1] === crash);

    const result = await env.run({ statefulSet: 'half' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('The state of half-1 is left alone');
    expect(await sets.archives('half-0')).toHaveLength(1);
    expect(await sets.images('half')).toEqual([v1, v1]);
  });
});
