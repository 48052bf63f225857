import { describe, expect, test } from '@jest/globals';
import { colourManifest, serviceManifest } from '../sandbox/kubernetes/manifests.ts';
import {
  endpoints,
  makeColours,
  standing,
  untilServed,
  v1,
  v2,
  watchFewest,
} from './support/colours.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const soaked = { service: 'soaked', blueGreen: { soak: '5s' } };
const env = useRollbackEnvironment(
  { services: { soaked, tracked: { service: 'tracked', blueGreen: { label: 'track' } } } },
  { procedure: 'blue-green' },
);
const cluster = () => env.cluster;

describe('the traffic of a Service goes back', () => {
  test.concurrent('to where kubectl would send it, and somebody is served throughout', async () => {
    await Promise.all([makeColours(cluster(), 'ours'), makeColours(cluster(), 'theirs')]);
    const patch = JSON.stringify({ spec: { selector: { version: 'blue' } } });
    await cluster().kubectl('patch', 'service', 'theirs', '-p', patch);
    await cluster().kubectl('scale', 'deployment', 'theirs-green', '--replicas=0');
    const watch = await watchFewest(cluster(), 'ours');

    const result = await env.run({ service: 'ours' });

    expect(result.outcome).toBe('rolled-back');
    expect(await watch.stop()).toBeGreaterThanOrEqual(2);
    expect(await standing(cluster(), 'ours')).toEqual({
      ...(await standing(cluster(), 'theirs')),
      app: 'ours',
    });
    const pods = await endpoints(cluster(), 'ours');
    expect(pods.filter((pod) => pod.startsWith('ours-blue-'))).toHaveLength(2);
    expect(pods).toHaveLength(2);
  });

  test.concurrent('once: a second run never sends it to the bad colour again', async () => {
    await makeColours(cluster(), 'twice');
    expect((await env.run({ service: 'twice' })).outcome).toBe('rolled-back');

    const second = await env.run({ service: 'twice' });
    expect(second.outcome).toBe('no-op');
    expect(second.message).toMatch(/switched it from app=twice,version=green .* name a colour/);

    await cluster().kubectl('rollout', 'restart', 'deployment/twice-blue');
    await cluster().rollout('twice-blue');
    expect((await env.run({ service: 'twice' })).outcome).toBe('no-op');
    expect((await env.run({ service: 'twice', to: 'blue' })).outcome).toBe('no-op');
    expect(await standing(cluster(), 'twice')).toMatchObject({
      version: 'blue',
      blue: 2,
      green: 0,
    });
  });

  test.concurrent('after each bad release, whichever colour it comes in', async () => {
    await makeColours(cluster(), 'again');
    await env.run({ service: 'again' });
    // The next release is tried in green and switched to; the one after that in blue.
    await cluster().release('again-green', 'wakala/api:3.0.0');
    await cluster().kubectl('scale', 'deployment/again-green', '--replicas=2');
    await cluster().rollout('again-green');
    await switchTo('again', 'green');
    await cluster().release('again-blue', 'wakala/api:4.0.0-bad');
    await switchTo('again', 'blue');
    await untilServed(cluster(), 'again', 'blue', 2);

    const result = await env.run({ service: 'again' });

    expect(result.outcome).toBe('rolled-back');
    expect(await standing(cluster(), 'again')).toMatchObject({ version: 'green', blue: 0 });
  });

  test.concurrent('to a colour that was scaled to zero, as many pods as the live one', async () => {
    await makeColours(cluster(), 'asleep', { blue: { replicas: 0 }, green: { replicas: 3 } });
    const watch = await watchFewest(cluster(), 'asleep');

    const result = await env.run({ service: 'asleep' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.differences[0]).toBe('Deployment asleep-blue: replicas 0 -> 3');
    expect(await watch.stop()).toBe(3);
    expect(await standing(cluster(), 'asleep')).toMatchObject({
      ...{ version: 'blue', blue: 3, green: 0 },
    });
    // Back again, it gets as many as it had.
    await env.run({ service: 'asleep', to: 'green' });
    expect(await standing(cluster(), 'asleep')).toMatchObject({
      ...{ version: 'green', blue: 0, green: 3 },
    });
  });

  test.concurrent("whatever the label and other people's Deployments are called", async () => {
    const label = 'track';
    const tracked = (track: string, image: string) =>
      colourManifest('tracked', track, image, { label });
    await cluster().apply([
      ...[tracked('stable', v1), tracked('next', v2), colourManifest('other', 'stable', v1)],
      serviceManifest('tracked', { app: 'tracked', track: 'next' }),
    ]);
    await Promise.all(['stable', 'next'].map((one) => cluster().rollout(`tracked-${one}`)));

    const result = await env.run({ service: 'tracked' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.differences).toContain('metadata.labels.track: next -> stable');
    const { spec } = await cluster().get<{ spec: object }>('service', 'tracked');
    expect(spec).toMatchObject({ selector: { app: 'tracked', track: 'stable' } });
  });

  test.concurrent('before the colour that is left is scaled down, for the soak time', async () => {
    await makeColours(cluster(), 'soaked');
    const run = await env.start({ service: 'soaked' });
    await untilServed(cluster(), 'soaked', 'blue', 2);
    expect(await standing(cluster(), 'soaked')).toMatchObject({ green: 2 });

    const result = await env.result(run);

    expect(result.outcome).toBe('rolled-back');
    expect(result.seconds).toBeGreaterThanOrEqual(5);
    expect(result.steps.map(({ title }) => title).slice(-2)).toEqual([
      'Keep Deployment soaked-green for 5 s',
      'Scale Deployment soaked-green to zero',
    ]);
    expect(await standing(cluster(), 'soaked')).toMatchObject({ green: 0 });
  });
});

describe('during the soak', () => {
  /** Starts a run whose soak is longer than a test may take, and waits until that has begun. */
  async function untilSoaking(name: string, more: object = {}) {
    const id = await env.start({ service: name, soak: '1h', ...more });
    return eventually('the soak has begun', async () => {
      const status = await env.status(id);
      return status.pausedAt.length > 0 && status;
    });
  }

  test.concurrent('somebody on call may abort, which sends the traffic back', async () => {
    await makeColours(cluster(), 'doubted', { blue: { replicas: 0 } });
    const before = await standing(cluster(), 'doubted');
    const watch = await watchFewest(cluster(), 'doubted');
    const soaking = await untilSoaking('doubted');
    expect(soaking.phase).toBe('executing');
    expect(soaking.pausedAt[0]).toMatchObject({
      ...{ step: 'Keep Deployment doubted-green for 3600 s', allowed: ['skip', 'abort'] },
    });
    expect(await standing(cluster(), 'doubted')).toMatchObject({ version: 'blue', green: 2 });
    expect((await env.decideStep(soaking, 'abort', 'cto')).counted).toBe(false);

    const result = await env.abort(soaking);

    expect(result.outcome).toBe('aborted');
    expect(await standing(cluster(), 'doubted')).toEqual(before);
    expect(await watch.stop()).toBe(2);
  });

  test.concurrent('somebody on call may end it early', async () => {
    await makeColours(cluster(), 'trusted');
    const soaking = await untilSoaking('trusted');

    expect((await env.decideStep(soaking, 'skip')).counted).toBe(true);
    const result = await env.result(soaking.workflowId);

    expect(result).toMatchObject({ outcome: 'rolled-back', gaps: [] });
    expect(result.steps.at(-2)).toMatchObject({ state: 'skipped', text: 'cut short by on-call' });
    expect(await standing(cluster(), 'trusted')).toMatchObject({ version: 'blue', green: 0 });
  });

  test.concurrent('somebody on call may leave the other pods where they are', async () => {
    await makeColours(cluster(), 'stayed');
    const soaking = await untilSoaking('stayed', { delete: true });
    const [{ step, attempt } = {}] = soaking.pausedAt;
    const { workflowId: id } = soaking;
    const token = await env.token(id, 'skip', 'on-call', { step, attempt, stays: true });
    await env.send(id, { decision: 'skip', token, step, attempt });

    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(result.gaps).toEqual([
      expect.stringContaining('Deployment stayed-green keeps its pods (stopped by on-call)'),
    ]);
    expect(await standing(cluster(), 'stayed')).toMatchObject({ version: 'blue', green: 2 });
  });
});

test.concurrent('a kubectl apply that would send the traffic back is warned of', async () => {
  await makeColours(cluster(), 'recorded');
  const warning = 'applying it again sends the traffic of Service recorded to app=recorded,version';
  const warnings = async () => {
    const { plan } = await env.run({ service: 'recorded', dryRun: true });
    return plan?.warnings.join('\n');
  };
  expect(await warnings()).toContain(`${warning}=green`);
  await switchTo('recorded', 'blue');
  // Back to what the manifest has.
  expect(await warnings()).not.toContain(warning);
});

test.concurrent(
  "the team's next server-side apply of its manifests does not conflict",
  async () => {
    const manifests = [
      serviceManifest('applied', { app: 'applied', version: 'green' }),
      colourManifest('applied', 'blue', v1, { replicas: 0 }),
      colourManifest('applied', 'green', v2),
    ];
    const apply = () => cluster().apply(manifests, '--server-side', '--field-manager=pipeline');
    await apply();
    await cluster().rollout('applied-green');
    expect((await env.run({ service: 'applied' })).outcome).toBe('rolled-back');
    expect(await standing(cluster(), 'applied')).toMatchObject({
      version: 'blue',
      blue: 2,
      green: 0,
    });

    await apply();

    expect(await standing(cluster(), 'applied')).toMatchObject({ version: 'green', blue: 0 });
  },
);

describe('what is left is deleted', () => {
  test.concurrent('only where that was asked for, and said to be for good', async () => {
    await makeColours(cluster(), 'deleted');

    const result = await env.run({ service: 'deleted', delete: true });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toContain('cannot be brought back');
    expect(result.steps.at(-1)?.title).toBe('Delete Deployment deleted-green');
    const names = await cluster().kubectl('get', 'deployments', '-o', 'name');
    expect(names).toContain('deleted-blue');
    expect(names).not.toContain('deleted-green');
  });

  test.concurrent('after a run that has kept it, unless it was released anew', async () => {
    await makeColours(cluster(), 'later');
    await env.run({ service: 'later' });
    await cluster().release('later-green', 'wakala/api:3.0.0', false);

    const anew = await env.run({ service: 'later', delete: true });
    expect(anew.outcome).toBe('refused');
    expect(anew.message).toContain('was released anew since');

    await cluster().release('later-green', v2, false);
    expect((await env.run({ service: 'later', delete: true })).outcome).toBe('rolled-back');
    expect(await cluster().kubectl('get', 'deployments', '-o', 'name')).not.toContain(
      'later-green',
    );
  });

  test.concurrent('never while another Service has no other pods', async () => {
    await makeColours(cluster(), 'shared');
    const preview = serviceManifest('shared-preview', { app: 'shared', version: 'green' });
    await cluster().apply([preview]);
    await eventually(
      'the preview has endpoints',
      async () => (await endpoints(cluster(), 'shared-preview')).length === 2,
    );

    const deleted = await env.run({ service: 'shared', delete: true });
    expect(deleted.outcome).toBe('refused');
    expect(deleted.message).toContain('Service shared-preview sends traffic to 2 of them');

    const kept = await env.run({ service: 'shared' });
    expect(kept.outcome).toBe('rolled-back');
    expect(kept.plan?.warnings.join('\n')).toContain('shared-green keeps its pods');
    expect(await standing(cluster(), 'shared')).toMatchObject({ version: 'blue', green: 2 });
  });
});

describe('an autoscaler', () => {
  const autoscale = async (name: string, colour: string) =>
    cluster().apply([
      {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name: `${name}-${colour}` },
        spec: {
          scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `${name}-${colour}` },
          minReplicas: 2,
          maxReplicas: 3,
        },
      },
    ]);

  test.concurrent('rests while its colour is left, and takes over where it starts', async () => {
    await makeColours(cluster(), 'scaled', { blue: { replicas: 0 }, green: { replicas: 4 } });
    await Promise.all([autoscale('scaled', 'blue'), autoscale('scaled', 'green')]);

    const result = await env.run({ service: 'scaled' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.changes[0]).toMatchObject({ after: { replicas: 3, autoscaled: true } });
    expect(result.plan?.warnings.join('\n')).toContain('3 replicas, fewer than the 4 of the live');
    expect(await standing(cluster(), 'scaled')).toMatchObject({ version: 'blue', green: 0 });
  });

  test.concurrent('that runs the other colour is not fought, and that is said', async () => {
    await makeColours(cluster(), 'run', { blue: { replicas: 2 }, green: { replicas: 3 } });
    await autoscale('run', 'blue');

    const result = await env.run({ service: 'run' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.plan?.warnings.join('\n')).toMatch(/keeps Deployment run-blue at 2 replicas/);
    expect(await standing(cluster(), 'run')).toMatchObject({ version: 'blue', blue: 2 });
  });
});

async function switchTo(name: string, colour: string): Promise<void> {
  const patch = JSON.stringify({ spec: { selector: { version: colour } } });
  await cluster().kubectl('patch', 'service', name, '-p', patch);
}
