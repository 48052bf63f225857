import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { written } from './support/cluster.ts';

const env = useRollbackEnvironment();
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];

describe('a Deployment goes back', () => {
  test.concurrent('to the template that kubectl would restore, field by field', async () => {
    const make = async (name: string) => {
      await env.cluster.deploy(name, v1, 2);
      await env.cluster.kubectl('annotate', 'deployment', name, 'kubernetes.io/change-cause=first');
      await env.cluster.kubectl('set', 'resources', `deployment/${name}`, '--requests=cpu=10m');
      await env.cluster.rollout(name);
      await env.cluster.release(name, v2);
      await env.cluster.kubectl('set', 'env', `deployment/${name}`, 'MODE=bad');
      await env.cluster.rollout(name);
    };
    await Promise.all([make('ours'), make('theirs')]);
    await env.cluster.kubectl('rollout', 'undo', 'deployment/theirs');
    await env.cluster.rollout('theirs');

    const result = await env.run({ deployment: 'ours' });

    expect(result.outcome).toBe('rolled-back');
    const [ours, theirs] = [
      await env.cluster.deployment('ours'),
      await env.cluster.deployment('theirs'),
    ];
    const named = (template: unknown) => JSON.stringify(template).replaceAll('theirs', 'ours');
    expect(named(ours.spec?.template)).toBe(named(theirs.spec?.template));
    expect(ours.spec?.strategy).toEqual(theirs.spec?.strategy);
  });

  test.concurrent('to the revision before, or to the one that is named', async () => {
    await env.cluster.history('chosen', 2, v1, v2, v3);

    const previous = await env.run({ deployment: 'chosen' });
    expect(previous.outcome).toBe('rolled-back');
    expect(previous.plan?.summary).toContain(`revision 3 back to revision 2: ${v3} -> ${v2}`);
    expect(await env.cluster.image('chosen')).toBe(v2);

    const named = await env.run({ deployment: 'chosen', toRevision: 1 });
    expect(named.outcome).toBe('rolled-back');
    expect(await env.cluster.image('chosen')).toBe(v1);
  });

  test.concurrent(
    'to another version, never to the bad one as it was before a restart',
    async () => {
      const restart = async () => {
        await env.cluster.kubectl('rollout', 'restart', 'deployment/restarted');
        await env.cluster.rollout('restarted');
      };
      await env.cluster.history('restarted', 2, v1, v2);
      await restart();

      const result = await env.run({ deployment: 'restarted' });

      expect(result.plan?.summary).toContain(`revision 3 back to revision 1: ${v2} -> ${v1}`);
      expect(await env.cluster.image('restarted')).toBe(v1);
      await restart();
      const second = await env.run({ deployment: 'restarted' });
      expect(second.outcome).toBe('no-op');
      expect(second.message).toMatch(/already at revision 5 .* rolled it back from revision 3/);
    },
  );

  test.concurrent(
    'once: a second run, or one after scaling, never brings the bad version back',
    async () => {
      await env.cluster.history('twice', 2, v1, v2);
      expect((await env.run({ deployment: 'twice' })).outcome).toBe('rolled-back');
      const { metadata } = await env.cluster.deployment('twice');

      const second = await env.run({ deployment: 'twice' });
      expect(second.outcome).toBe('no-op');
      expect(second.message).toMatch(/already at revision 3 .* rolled it back from revision 2/);
      const after = await env.cluster.deployment('twice');
      expect(written(after)).toEqual(written({ metadata }));

      await env.cluster.kubectl('scale', 'deployment/twice', '--replicas=3');
      await env.cluster.rollout('twice');
      expect((await env.run({ deployment: 'twice' })).outcome).toBe('no-op');
      expect(await env.cluster.image('twice')).toBe(v1);
    },
  );

  test.concurrent('again after the next bad deploy', async () => {
    await env.cluster.history('again', 2, v1, v2);
    await env.run({ deployment: 'again' });
    await env.cluster.release('again', v3);

    const result = await env.run({ deployment: 'again' });

    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.image('again')).toBe(v1);
  });

  test.concurrent(
    'from a version that was once gone back to and is now deployed anew',
    async () => {
      await env.cluster.history('anew', 2, v1, v2);
      await env.run({ deployment: 'anew' });
      await env.cluster.release('anew', v3);
      await env.cluster.release('anew', v1);

      const result = await env.run({ deployment: 'anew' });

      expect(result.outcome).toBe('rolled-back');
      expect(await env.cluster.image('anew')).toBe(v3);
    },
  );

  test.concurrent('while a broken image is stuck halfway through its rollout', async () => {
    await env.cluster.deploy('stuck', v1, 3);
    await env.cluster.release('stuck', 'wakala/api:2.0.0-broken', false);
    await env.cluster.pods('stuck', 'wakala/api:2.0.0-broken');

    const result = await env.run({ deployment: 'stuck' });

    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.image('stuck')).toBe(v1);
    const { status } = await env.cluster.deployment('stuck');
    expect(status).toMatchObject({ availableReplicas: 3, updatedReplicas: 3, replicas: 3 });
  });

  test.concurrent('with Recreate left as it is, and said', async () => {
    await env.cluster.deploy('recreated', v1, 2);
    const strategy = { type: 'Recreate', rollingUpdate: null };
    await env.cluster.patch('recreated', { spec: { strategy } });
    await env.cluster.release('recreated', v2);

    const result = await env.run({ deployment: 'recreated' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('all pods stop before the first new one');
    const { spec } = await env.cluster.deployment('recreated');
    expect(spec?.strategy).toEqual({ type: 'Recreate' });
  });

  test.concurrent('with the change-cause that kubectl rollout history shows', async () => {
    const cause = (text: string) =>
      env.cluster.kubectl(
        ...['annotate', '--overwrite', 'deployment', 'caused'],
        `kubernetes.io/change-cause=${text}`,
      );
    await env.cluster.deploy('caused', v1, 1);
    await cause('release 1');
    // The controller copies it to the ReplicaSet, and the next release must not come before that.
    const annotated = (image: string, text: string) => async () => {
      const set = (await env.cluster.replicaSets('caused')).get(image);
      return set?.metadata?.annotations?.['kubernetes.io/change-cause'] === text;
    };
    await eventually('revision 1 has a change-cause', annotated(v1, 'release 1'));
    await env.cluster.release('caused', v2);
    await cause('release 2');
    await eventually('revision 2 has a change-cause', annotated(v2, 'release 2'));

    await env.run({ deployment: 'caused' });

    const history = await env.cluster.kubectl('rollout', 'history', 'deployment/caused');
    expect(history).toMatch(/^2\s+release 2$/m);
    expect(history).toMatch(/^3\s+release 1$/m);
  });
});

describe('a revision that an earlier run has left', () => {
  const never = 'wakala/api:2.0.0-broken';
  const dryRun = true;
  const cancel = (id: string) => env.client.workflow.getHandle(id).cancel();
  /** Ends a run while it waits for pods that never get ready, so that it goes back to what is healthier. */
  async function taken(
    name: string,
    input: object,
    end: (id: string) => Promise<unknown> = cancel,
  ): Promise<string> {
    const id = await env.start({ deployment: name, ...input });
    await eventually('the rollout is driven', async () =>
      (await env.status(id)).steps.some(({ title }) => title === 'Wait for every replica'),
    );
    await end(id);
    expect((await env.result(id)).outcome).toBe('aborted');
    return id;
  }
  const planned = async (name: string, input: object = {}) =>
    (await env.run({ deployment: name, dryRun, ...input })).plan;

  test.concurrent('is passed over, and said where it is named', async () => {
    await env.cluster.deploy('passed', v1, 2);
    await env.cluster.release('passed', never, false);
    await env.cluster.release('passed', v3);
    const id = await taken('passed', { toRevision: 2 });

    const plan = await planned('passed');
    expect(plan?.summary).toContain(`revision 5 back to revision 1: ${v3} -> ${v1}`);
    expect(plan?.warnings.join('\n')).toContain(
      `Revision 4 is passed over, since run ${id} left it at`,
    );
    const named = await planned('passed', { toRevision: 4 });
    expect(named?.warnings.join('\n')).toContain(`Revision 4 was left by run ${id} at`);
    expect(named?.warnings.join('\n')).not.toContain('is passed over');
  });

  test.concurrent('is gone back to where there is no other, and that is said', async () => {
    await env.cluster.kubectl('create', 'deployment', 'only', `--image=${never}`, '--replicas=2');
    await env.cluster.release('only', v2);
    const id = await taken('only', {});

    const plan = await planned('only');
    expect(plan?.summary).toContain('revision 4 back to revision 3');
    expect(plan?.warnings.join('\n')).toContain(`Revision 3 was left by run ${id} at`);
  });

  test.concurrent('since somebody aborted it is gone back to only by its name', async () => {
    await env.cluster.deploy('moment', v1, 2);
    await env.cluster.release('moment', never, false);
    await env.cluster.release('moment', v3);
    const abort = (id: string) => env.decide(id, 'abort', 'on-call');
    const id = await taken('moment', { toRevision: 2 }, abort);

    const { outcome, message } = await env.run({ deployment: 'moment', dryRun });
    expect(outcome).toBe('refused');
    expect(message).toContain(`went back to revision 4 with run ${id}, which was aborted at`);
    expect(message).toContain('--to-revision N (known revisions: 1, 4, 5)');
    expect((await planned('moment', { toRevision: 4 }))?.summary).toContain('back to revision 4');
  });

  test.concurrent('is known after the next runs, until it is deployed anew', async () => {
    const run = async () => {
      const id = await env.start({ deployment: 'earlier' });
      expect((await env.result(id)).outcome).toBe('rolled-back');
      return id;
    };
    await env.cluster.history('earlier', 1, v1, v2);
    const first = await run();
    await env.cluster.release('earlier', v3);
    const second = await run();

    const warnings = async (toRevision: number) =>
      (await planned('earlier', { toRevision }))?.warnings.join('\n');
    expect(await warnings(2)).toContain(`Revision 2 was left by run ${first} at`);
    expect(await warnings(4)).toContain(`Revision 4 was left by run ${second} at`);

    await env.cluster.release('earlier', v2);
    await env.cluster.release('earlier', 'wakala/api:4.0.0-bad');
    const plan = await planned('earlier');
    expect(plan?.summary).toContain('revision 7 back to revision 6');
    expect(plan?.warnings.join('\n')).not.toContain('was left by');
  });
});

describe('a paused Deployment', () => {
  test.concurrent(
    'is refused, with the way that does not finish the bad rollout first',
    async () => {
      await env.cluster.history('held', 2, v1, v2);
      await env.cluster.kubectl('rollout', 'pause', 'deployment/held');
      const { metadata } = await env.cluster.deployment('held');

      const result = await env.run({ deployment: 'held' });

      expect(result.outcome).toBe('refused');
      expect(result.message).toContain('--unpause');
      const after = await env.cluster.deployment('held');
      expect(written(after)).toEqual(written({ metadata }));
    },
  );

  test.concurrent('goes back and resumes without one more pod of the bad version', async () => {
    const broken = 'wakala/api:2.0.0-broken';
    await env.cluster.deploy('half', v1, 4);
    await env.cluster.release('half', broken, false);
    await env.cluster.pods('half', broken);
    await env.cluster.kubectl('rollout', 'pause', 'deployment/half');
    const paused = await env.cluster.deployment('half');
    const pods = await env.cluster.watch(
      'pods',
      ['-l', 'app=half'],
      '{.spec.containers[0].image} {.metadata.uid}',
    );
    const badPods = (lines: string[]) => new Set(lines.filter((line) => line.startsWith(broken)));
    const before = await env.cluster.kubectl(
      ...['get', 'pods', '-l', 'app=half', '-o'],
      'jsonpath={range .items[*]}{.spec.containers[0].image} {.metadata.uid}{"\\n"}{end}',
    );

    const result = await env.run({ deployment: 'half', unpause: true });

    expect(result.outcome).toBe('rolled-back');
    expect(badPods(await pods.stop())).toEqual(badPods(before.split('\n')));
    const { spec, metadata } = await env.cluster.deployment('half');
    expect(spec?.paused).toBeFalsy();
    expect(spec?.template.spec?.containers[0]?.image).toBe(v1);
    // One change of the spec resumes and restores; one more puts the strategy back.
    const surged = result.plan?.changes[0]?.after.surge === true;
    expect((metadata?.generation ?? 0) - (paused.metadata?.generation ?? 0)).toBe(surged ? 2 : 1);
  });
});
