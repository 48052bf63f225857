/** Flagger's objects as it leaves them: production has a copy, and what it copies has no pods. */
import { describe, expect, test } from '@jest/globals';
import { canary } from '../sandbox/kubernetes/owner-manifests.ts';
import { deploymentManifest } from './support/manifests.ts';
import { read } from './support/owners.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];
const red = { smoke: { command: ['false'], retries: 0 } };
const env = useRollbackEnvironment({
  services: { aborted: { deployment: 'aborted', checks: red } },
});

interface Manifest {
  metadata: object;
  spec: { template: { metadata: object } };
}

/** As Flagger makes it of a Deployment for production. */
function copyOf(name: string, image: string, ownerReferences: object[]): object {
  const manifest = deploymentManifest(`${name}-primary`, image, { replicas: 1 }) as Manifest;
  const { metadata, spec } = manifest;
  const annotations = { 'flagger-id': `promoted with ${image}` };
  const template = {
    ...spec.template,
    metadata: { ...spec.template.metadata, annotations },
  };
  return { ...manifest, metadata: { ...metadata, ownerReferences }, spec: { ...spec, template } };
}

/** Deploys images one after the other; what Flagger has promoted is in the copy as well. */
async function release(name: string, phase: string, images: Record<string, 'promoted' | 'not'>) {
  const { cluster } = env;
  await cluster.apply([canary(name, name)]);
  const { metadata } = await read(cluster, 'canary', name);
  const controller = { apiVersion: 'flagger.app/v1beta1', kind: 'Canary', name, controller: true };
  const owners = [{ ...controller, uid: metadata?.uid }];
  for (const [image, state] of Object.entries(images)) {
    const isPromoted = state === 'promoted';
    await cluster.apply([
      deploymentManifest(name, image, { replicas: 0 }),
      ...(isPromoted ? [copyOf(name, image, owners)] : []),
    ]);
    await Promise.all([cluster.rollout(name), isPromoted && cluster.rollout(`${name}-primary`)]);
  }
  const said = { phase, canaryWeight: 0, failedChecks: 0, iterations: 0 };
  const patch = JSON.stringify({ status: said });
  await cluster.kubectl(
    ...['patch', 'canary', name, '--subresource=status', '--type=merge', '-p', patch],
  );
}

async function imagesOf(name: string): Promise<(string | undefined)[]> {
  return Promise.all([env.cluster.image(name), env.cluster.image(`${name}-primary`)]);
}

describe('production is back on the good version', () => {
  test.concurrent('where Flagger has promoted the bad one: its copy goes back too', async () => {
    await release('shop', 'Succeeded', { [v1]: 'promoted', [v2]: 'promoted' });
    const before = await read(env.cluster, 'canary', 'shop');

    const result = await env.run({ deployment: 'shop' });

    expect(result.outcome).toBe('rolled-back');
    expect(await imagesOf('shop')).toEqual([v1, v1]);
    expect(result.plan?.summary).toContain('shop-primary, which serves production');
    expect((await read(env.cluster, 'canary', 'shop')).spec).toEqual({
      ...before.spec,
      suspend: true,
    });
    expect((await env.run({ deployment: 'shop' })).outcome).toBe('no-op');
    expect((await env.release('canary/shop')).outcome).toBe('rolled-back');
    expect((await read(env.cluster, 'canary', 'shop')).spec).toEqual(before.spec);
  });

  test.concurrent('where a version in between was never promoted: past that one', async () => {
    await release('past', 'Succeeded', { [v1]: 'promoted', [v2]: 'not', [v3]: 'promoted' });

    const result = await env.run({ deployment: 'past' });

    expect(result.outcome).toBe('rolled-back');
    expect(await imagesOf('past')).toEqual([v1, v1]);
  });

  test.concurrent.each(['Progressing', 'Failed'])(
    'where the bad one is only analysed or has failed: %s',
    async (phase) => {
      const name = `only-${phase.toLowerCase()}`;
      await release(name, phase, { [v1]: 'promoted', [v2]: 'not' });
      const { generation } = (await env.cluster.deployment(`${name}-primary`)).metadata ?? {};

      const result = await env.run({ deployment: name });

      expect(result.outcome).toBe('rolled-back');
      expect(await imagesOf(name)).toEqual([v1, v1]);
      const { metadata } = await env.cluster.deployment(`${name}-primary`);
      expect(metadata?.generation).toBe(generation);
    },
  );

  test.concurrent('where somebody rolled back only what Flagger watches', async () => {
    await release('half', 'Succeeded', { [v1]: 'promoted', [v2]: 'promoted' });
    await env.cluster.kubectl('rollout', 'undo', 'deployment/half');
    await env.cluster.rollout('half');

    const result = await env.run({ deployment: 'half' });

    expect(result.outcome).toBe('rolled-back');
    expect(await imagesOf('half')).toEqual([v1, v1]);
  });

  test.concurrent('where the copy itself was named', async () => {
    await release('named', 'Succeeded', { [v1]: 'promoted', [v2]: 'promoted' });

    const result = await env.run({ deployment: 'named-primary', toRevision: 1 });

    expect(result.outcome).toBe('rolled-back');
    expect(await imagesOf('named')).toEqual([v1, v1]);
  });
});

test.concurrent('a version that never served production is refused', async () => {
  await release('never', 'Succeeded', { [v1]: 'promoted', [v2]: 'not', [v3]: 'promoted' });

  const result = await env.run({ deployment: 'never', toRevision: 2 });

  expect(result.outcome).toBe('refused');
  expect(result.message).toMatch(/has not promoted revision 2 .*can go to: 1, 3/);
  expect(await imagesOf('never')).toEqual([v3, v3]);
});

test.concurrent('an abort brings both back, and Flagger acts again', async () => {
  await release('aborted', 'Succeeded', { [v1]: 'promoted', [v2]: 'promoted' });
  const before = await read(env.cluster, 'canary', 'aborted');

  const result = await env.abort(await env.runUntilPaused({ deployment: 'aborted' }));

  expect(result.outcome).toBe('aborted');
  expect(await imagesOf('aborted')).toEqual([v2, v2]);
  expect((await read(env.cluster, 'canary', 'aborted')).spec).toEqual(before.spec);
});
