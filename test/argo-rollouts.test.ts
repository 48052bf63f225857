/** Deployments whose pods Argo Rollouts runs; the tests do what its controller does to the status. */
import { describe, expect, test } from '@jest/globals';
import { rolloutOf } from '../sandbox/kubernetes/owner-manifests.ts';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { read } from './support/owners.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];
const red = { smoke: { command: ['false'], retries: 0 } };
const env = useRollbackEnvironment({
  services: { aborted: { deployment: 'aborted', checks: red } },
});

interface Status {
  promoteFull?: boolean;
  abort?: boolean;
}

async function statusOf(name: string): Promise<Status> {
  const { status } = (await read(env.cluster, 'rollout', name)) as { status?: Status };
  return status ?? {};
}

/** What the controller says of a Rollout. */
async function say(name: string, status: object): Promise<void> {
  const patch = JSON.stringify({ status });
  await env.cluster.kubectl(
    ...['patch', 'rollout', name, '--subresource=status', '--type=merge', '-p', patch],
  );
}

/** That it has seen the Deployment's newest template. */
async function seeTemplate(name: string, status: object): Promise<void> {
  const { metadata } = await env.cluster.deployment(name);
  await say(name, { workloadObservedGeneration: String(metadata?.generation), ...status });
}

const whole = { phase: 'Healthy', replicas: 2, updatedReplicas: 2, availableReplicas: 2 };

/** Images one after the other, of which the last is promoted. */
async function release(name: string, ...images: string[]): Promise<void> {
  for (const image of images) {
    await env.cluster.apply([deploymentManifest(name, image, { replicas: 0 })]);
    await env.cluster.rollout(name);
  }
  await env.cluster.apply([rolloutOf(name, name)]);
  await seeTemplate(name, { ...whole, currentPodHash: 'last', stableRS: 'last' });
}

/** Sees the restored template, and does what it is told then. */
async function play(name: string, image: string, hash: string): Promise<void> {
  await eventually(`${name} has ${image}`, async () => (await env.cluster.image(name)) === image);
  await seeTemplate(name, { phase: 'Progressing', currentPodHash: hash, promoteFull: false });
  await eventually(`${name} is promoted`, async () => (await statusOf(name)).promoteFull);
  await say(name, { ...whole, stableRS: hash, promoteFull: false });
}

describe('the pods go back as well', () => {
  test.concurrent('at once, past all steps, where the bad version is promoted', async () => {
    await release('promoted', v1, v2);
    const { spec } = await read(env.cluster, 'rollout', 'promoted');

    const id = await env.start({ deployment: 'promoted' });
    await play('promoted', v1, 'first');
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps.at(-1)).toMatchObject({ title: 'Wait for Argo Rollouts', state: 'done' });
    expect((await read(env.cluster, 'rollout', 'promoted')).spec).toEqual(spec);
    expect((await env.run({ deployment: 'promoted' })).outcome).toBe('no-op');
  });

  test.concurrent('to what is stable, past a version that was aborted', async () => {
    await release('stable', v1);
    // As the controller makes it for what it has promoted.
    const { metadata } = await read(env.cluster, 'rollout', 'stable');
    const labels = { app: 'stable', 'rollouts-pod-template-hash': 'good' };
    const { spec } = await env.cluster.deployment('stable');
    const controller = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', controller: true };
    await env.cluster.apply([
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: {
          ...{ name: 'stable-good', labels },
          ownerReferences: [{ ...controller, name: 'stable', uid: metadata?.uid }],
        },
        spec: {
          replicas: 0,
          selector: { matchLabels: labels },
          template: { ...spec?.template, metadata: { labels } },
        },
      },
    ]);
    await env.cluster.release('stable', v2);
    await env.cluster.release('stable', v3);
    await seeTemplate('stable', { phase: 'Paused', currentPodHash: 'bad', stableRS: 'good' });

    const id = await env.start({ deployment: 'stable' });
    await eventually('v1 is back', async () => (await env.cluster.image('stable')) === v1);
    await seeTemplate('stable', { ...whole, currentPodHash: 'good' });

    expect((await env.result(id)).outcome).toBe('rolled-back');
    expect((await statusOf('stable')).promoteFull).toBeUndefined();
  });

  test.concurrent('and if they do not, the run says why', async () => {
    await release('blocked', v1, v2);

    const id = await env.start({ deployment: 'blocked' });
    await eventually('v1 is back', async () => (await env.cluster.image('blocked')) === v1);
    await seeTemplate('blocked', {
      ...{ phase: 'Degraded', message: 'ProgressDeadlineExceeded', currentPodHash: 'first' },
    });

    const paused = await env.untilPaused(id);
    expect(paused.message).toContain('cannot finish: ProgressDeadlineExceeded');
  });

  test.concurrent('and if nobody sees to that, the run does not wait for ever', async () => {
    await release('unseen', v1, v2);

    const paused = await env.untilPaused(await env.start({ deployment: 'unseen' }), 100_000);

    expect(paused.message).toContain('Argo Rollouts has not seen the template within 60 s');
  });
});

describe('an abort', () => {
  test.concurrent('promotes again what was promoted', async () => {
    await release('aborted', v1, v2);
    const id = await env.start({ deployment: 'aborted' });
    await play('aborted', v1, 'first');

    const aborting = env.abort(await env.untilPaused(id));
    await play('aborted', v2, 'last');

    expect((await aborting).outcome).toBe('aborted');
    expect(await env.cluster.image('aborted')).toBe(v2);
  });
});

test.concurrent('one that is paused is refused, with the way to resume it after that', async () => {
  await release('held', v1, v2);
  const patch = JSON.stringify({ spec: { paused: true } });
  await env.cluster.kubectl('patch', 'rollout', 'held', '--type=merge', '-p', patch);

  const result = await env.run({ deployment: 'held' });

  expect(result.outcome).toBe('refused');
  expect(result.message).toContain('--unpause');
  expect(await env.cluster.image('held')).toBe(v2);

  const id = await env.start({ deployment: 'held', unpause: true });
  await play('held', v1, 'first');
  expect((await env.result(id)).outcome).toBe('rolled-back');
  expect((await read(env.cluster, 'rollout', 'held')).spec.paused).toBe(false);
});

test.concurrent('one that runs its pods itself is told from what is not there', async () => {
  const template = { metadata: { labels: { app: 'alone' } }, spec: { containers: [] } };
  const { spec, ...rollout } = rolloutOf('alone', 'alone') as { spec: object };
  await env.cluster.apply([{ ...rollout, spec: { ...spec, workloadRef: undefined, template } }]);

  const result = await env.run({ deployment: 'alone' });

  expect(result.message).toContain('kubectl argo rollouts undo alone');
});
