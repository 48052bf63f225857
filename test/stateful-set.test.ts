import { describe, expect, test } from '@jest/globals';
import { statefulSetManifests } from '../sandbox/kubernetes/manifests.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { broken, StatefulSets, v1, v2 } from './support/stateful-sets.ts';

const env = useRollbackEnvironment({}, { procedure: 'statefulset' });
const sets = new StatefulSets(() => env.cluster);
const v3 = 'wakala/api:3.0.0-bad';
/** Most of these are about versions, not about state. */
const skipBackup = true;

describe('a StatefulSet goes back', () => {
  test.concurrent('to the template that kubectl would restore, field by field', async () => {
    const make = async (name: string) => {
      await sets.history(name, [v1]);
      await env.cluster.kubectl('set', 'resources', `statefulset/${name}`, '--requests=cpu=10m');
      await sets.rollout(name);
      await sets.release(name, v2);
      await env.cluster.kubectl('set', 'env', `statefulset/${name}`, 'MODE=bad');
      await sets.rollout(name);
    };
    await Promise.all([make('ours'), make('theirs')]);
    await env.cluster.kubectl('rollout', 'undo', 'statefulset/theirs');
    await sets.rollout('theirs');

    const result = await env.run({ statefulSet: 'ours' });

    expect(result.outcome).toBe('rolled-back');
    const [ours, theirs] = await Promise.all([sets.get('ours'), sets.get('theirs')]);
    const named = (spec: unknown) => JSON.stringify(spec).replaceAll('theirs', 'ours');
    expect(named(ours.spec)).toBe(named(theirs.spec));
    expect(await sets.images('ours')).toEqual(await sets.images('theirs'));
    const { currentRevision, updateRevision } = ours.status ?? {};
    expect(currentRevision).toBe(updateRevision);
  });

  test.concurrent('to the revision before, or to the one that is named', async () => {
    await sets.history('chosen', [v1, v2, v3], { replicas: 1 });

    const previous = await env.run({ statefulSet: 'chosen', skipBackup });
    expect(previous.outcome).toBe('rolled-back');
    expect(previous.plan?.summary).toContain(`revision 3 back to revision 2: ${v3} -> ${v2}`);
    expect(await sets.images('chosen')).toEqual([v2]);

    const named = await env.run({ statefulSet: 'chosen', toRevision: 1, skipBackup });
    expect(named.outcome).toBe('rolled-back');
    expect(await sets.images('chosen')).toEqual([v1]);
  });

  test.concurrent('once, and again only after the next bad deploy', async () => {
    await sets.history('twice', [v1, v2], { replicas: 1 });
    const first = await env.run({ statefulSet: 'twice', skipBackup });
    expect(first.outcome).toBe('rolled-back');
    const { metadata } = await sets.get('twice');

    const second = await env.run({ statefulSet: 'twice' });
    expect(second.outcome).toBe('no-op');
    expect(second.message).toMatch(/already at revision 3 .* rolled it back from revision 2/);
    const after = await sets.get('twice');
    expect(after.metadata?.generation).toBe(metadata?.generation);
    expect(after.metadata?.annotations).toEqual(metadata?.annotations);

    await sets.release('twice', v3);
    await sets.rollout('twice');
    expect((await env.run({ statefulSet: 'twice', skipBackup })).outcome).toBe('rolled-back');
    expect(await sets.images('twice')).toEqual([v1]);
    const named = { statefulSet: 'twice', toRevision: 2, skipBackup, dryRun: true };
    expect((await env.run(named)).plan?.warnings.join('\n')).toContain(
      `Revision 2 was left by run ${first.workflowId} at`,
    );
  });

  test.concurrent('without a conflict at the next server-side apply of its owner', async () => {
    const applied = (image: string) =>
      env.cluster.apply(
        statefulSetManifests('applied', image, { replicas: 1 }),
        ...['--server-side', '--field-manager=team'],
      );
    await applied(v1);
    await sets.rollout('applied');
    await applied(v2);
    await sets.rollout('applied');

    const result = await env.run({ statefulSet: 'applied', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    await applied(v3);
    expect(await sets.image('applied')).toBe(v3);
  });
});

describe('a pod that never gets ready does not hold the rollback up', () => {
  test.concurrent('and only it is deleted, with the others left alone', async () => {
    await sets.history('stuck', [v1], { replicas: 3 });
    await sets.release('stuck', broken);
    await sets.untilRuns('stuck-2', broken);
    const before = await sets.pods('stuck');

    const result = await env.run({ statefulSet: 'stuck', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('would wait for stuck-2');
    expect(result.steps[1]?.text).toContain('Deleted to get on: stuck-2.');
    const after = await sets.pods('stuck');
    expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
    expect(await sets.images('stuck')).toEqual([v1, v1, v1]);
  });

  test.concurrent('nor where it is the first of all, and no other is there', async () => {
    await sets.history('first', [v1], { replicas: 2 });
    await sets.release('first', broken);
    // The controller may have taken the last one away already.
    await env.cluster.kubectl(
      ...['delete', 'pod', '--wait=false', '--ignore-not-found', 'first-0', 'first-1'],
    );
    await sets.untilRuns('first-0', broken);

    const result = await env.run({ statefulSet: 'first', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(await sets.images('first')).toEqual([v1, v1]);
  });

  test.concurrent('nor where pods are managed in parallel and crash', async () => {
    const crash = 'wakala/api:2.0.0-crash';
    const spec = { podManagementPolicy: 'Parallel' };
    await sets.history('parallel', [v1], { replicas: 3, spec });
    await sets.release('parallel', crash);
    await eventually(
      'parallel-2 crashes',
      async () => (await sets.images('parallel'))[2] === crash,
    );
    await env.cluster.kubectl('delete', 'pod', '--wait=false', 'parallel-0');
    await eventually(
      'parallel-0 crashes',
      async () => (await sets.images('parallel'))[0] === crash,
    );

    const result = await env.run({ statefulSet: 'parallel', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(await sets.images('parallel')).toEqual([v1, v1, v1]);
  });
});

describe('what the update strategy says is kept', () => {
  test.concurrent('pods below the partition keep their version, and it is said', async () => {
    await sets.history('parted', [v1, v2], { replicas: 3 });
    const patch = { spec: { updateStrategy: { rollingUpdate: { partition: 2 } } } };
    await env.cluster.kubectl(
      ...['patch', 'statefulset', 'parted', '--type=merge', '-p', JSON.stringify(patch)],
    );

    const result = await env.run({ statefulSet: 'parted', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('pods below ordinal 2 keep the version');
    expect(await sets.images('parted')).toEqual([v2, v2, v1]);
    expect((await sets.get('parted')).spec?.updateStrategy?.rollingUpdate?.partition).toBe(2);
    expect((await env.run({ statefulSet: 'parted' })).outcome).toBe('no-op');
  });

  test.concurrent('a partition that would let no pod go back is refused', async () => {
    const spec = { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } };
    await sets.history('whole', [v1], { replicas: 2, spec });
    await sets.release('whole', v2);

    const result = await env.run({ statefulSet: 'whole', skipBackup });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('is 2, and it has 2 pods, so none would be replaced');
    expect(await sets.image('whole')).toBe(v2);
  });

  test.concurrent('with OnDelete the run replaces them, never two at once', async () => {
    const spec = { updateStrategy: { type: 'OnDelete' } };
    await sets.history('manual', [v1], { replicas: 3, spec });
    await sets.release('manual', v2);
    await env.cluster.kubectl('delete', 'pod', '--wait=false', 'manual-0', 'manual-1', 'manual-2');
    await sets.untilAllReady('manual', v2);
    const path = '{.metadata.name} {.metadata.deletionTimestamp}';
    const pods = await env.cluster.watch('pods', ['-l', 'app=manual'], path);
    const ready = await env.cluster.watch('statefulset', ['manual'], '{.status.readyReplicas}');

    const result = await env.run({ statefulSet: 'manual', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('OnDelete');
    expect(await sets.images('manual')).toEqual([v1, v1, v1]);
    const deleted = (await pods.stop()).filter((line) => /T\d/.test(line));
    const order = [...new Set(deleted.map((line) => line.split(' ')[0]))];
    expect(order).toEqual(['manual-2', 'manual-1', 'manual-0']);
    expect(Math.min(...(await ready.stop()).map(Number))).toBeGreaterThanOrEqual(2);
  });
});

describe('what cannot be done is said in a sentence, and nothing is changed', () => {
  test.concurrent('no such StatefulSet, revision or history', async () => {
    await sets.history('short', [v1], { replicas: 1 });
    const { metadata } = await sets.get('short');

    const absent = await env.run({ statefulSet: 'absent' });
    expect(absent.message).toMatch(/no StatefulSet absent in namespace .*: it has .*short/);
    await env.cluster.deploy('stateless', v1, 1);
    const stateless = await env.run({ statefulSet: 'stateless' });
    expect(stateless.message).toContain('but Deployment stateless: rollback deployment stateless.');
    const revision = await env.run({ statefulSet: 'short', toRevision: 9 });
    expect(revision.message).toContain('has no revision 9 (known revisions: 1)');
    await env.cluster.kubectl('rollout', 'restart', 'statefulset/short');
    const first = await env.run({ statefulSet: 'short' });
    expect(first.message).toContain('to go back to (known revisions: 1, 2, all of one version)');
    for (const { outcome } of [absent, revision, first]) expect(outcome).toBe('refused');
    expect((await sets.get('short')).metadata?.generation).toBe((metadata?.generation ?? 0) + 1);
  });

  test.concurrent.each<[string, object, RegExp]>([
    ['no name', {}, /"statefulSet" is missing/],
    ['a path to restore', { statefulSet: 'a', restore: '../a' }, /"restore" is neither previous/],
    ['an option to restore', { statefulSet: 'a', restore: '-C' }, /"restore" is neither previous/],
    ['a Service that is none', { statefulSet: 'a', service: 'A b' }, /"service" is not a Kubern/],
    ['maintenance that is no label', { statefulSet: 'a', maintenance: 'a b' }, /"maintenance" is/],
  ])('%s', async (_name, input, message) => {
    const failure = await env.failure(input);
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toMatch(message);
  });
});

describe('going back to what cannot run', () => {
  test.concurrent("fails soon with the pod's own reason, and an abort undoes it", async () => {
    const crash = 'wakala/api:1.0.0-crash';
    await env.cluster.apply(statefulSetManifests('worse', crash, { replicas: 2 }));
    await eventually('worse-0 crashes', async () => (await sets.images('worse'))[0] === crash);
    await sets.release('worse', v2);
    await env.cluster.kubectl('delete', 'pod', '--wait=false', 'worse-0');
    await sets.rollout('worse');

    const paused = await env.runUntilPaused({ statefulSet: 'worse', skipBackup });

    expect(paused.message).toMatch(
      /pod worse-1, container store: CrashLoopBackOff: .* exit code 1/,
    );
    expect(await sets.images('worse')).toEqual([v2, crash]);
    const result = await env.abort(paused);
    expect(result.outcome).toBe('aborted');
    expect(await sets.images('worse')).toEqual([v2, v2]);
    expect((await sets.get('worse')).status?.readyReplicas).toBe(2);
    const again = await env.run({ statefulSet: 'worse', skipBackup, dryRun: true });
    expect(again.outcome).toBe('refused');
    expect(again.message).toContain(`with run ${paused.workflowId}, which was aborted at`);
  });
});

test.concurrent('somebody else’s newer version is not overwritten without a new word', async () => {
  await sets.history('overtaken', [v1, v2], { replicas: 1 });
  const id = await env.startInterrupted(
    { statefulSet: 'overtaken', skipBackup },
    () => sets.release('overtaken', v3),
    env.cluster,
    'statefulset/overtaken',
  );

  const { plan } = await env.untilWaiting(id);
  expect(plan?.summary).toContain(`${v3} -> ${v2}`);
  expect(await sets.image('overtaken')).toBe(v3);
  expect((await env.decide(id, 'reject', 'on-call-2')).counted).toBe(true);
  expect((await env.result(id)).outcome).toBe('rejected');
  expect(await sets.image('overtaken')).toBe(v3);
});
