import { afterAll, describe, expect, test } from '@jest/globals';
import {
  bothVersions,
  destinationRule,
  gatewayCanary,
  httpRoute,
  istioCanary,
  to,
  virtualService,
} from '../sandbox/kubernetes/canaries.ts';
import { colourManifest, serviceManifest } from '../sandbox/kubernetes/manifests.ts';
import type { RunResult } from '../src/contract/run.ts';
import { HealthServer } from './support/health-server.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const server = new HealthServer();
await server.start();
server.answer = () => 500;
afterAll(() => server.stop());
const red = { checks: { health: { url: server.url, requests: 1, retries: 0 } } };
const env = useRollbackEnvironment(
  {
    services: {
      aborted: { service: 'aborted', ...red },
      gated: { service: 'gated', ...red },
      skipped: { service: 'skipped', ...red },
      held: { service: 'held', ...red },
      renamed: { service: 'renamed', canary: 'v2', stable: 'v1' },
    },
  },
  { procedure: 'canary' },
);

/** Applies manifests, and waits for the pods of both versions. */
async function make(name: string, objects: object[], ...args: string[]): Promise<void> {
  await env.cluster.apply(objects, ...args);
  await Promise.all([env.cluster.rollout(`${name}-stable`), env.cluster.rollout(`${name}-canary`)]);
}

/** Kinds and names of what is there of a service. */
async function left(service: string): Promise<string[]> {
  const kinds = 'deployments,destinationrules,services,virtualservices,httproutes';
  const text = await env.cluster.kubectl('get', kinds, '-o', 'name');
  return text
    .split('\n')
    .map((line) => line.replace(/\.[^/]*/, ''))
    .filter((line) => line.endsWith(`/${service}`) || line.includes(`/${service}-`));
}

const titles = ({ steps }: Pick<RunResult, 'steps'>) =>
  steps.map(({ title, state }) => `${title}: ${state}`);

describe('a canary is taken out', () => {
  test.concurrent('as by the runbook: no traffic, no Deployment, no rule of its own', async () => {
    await Promise.all([make('ours', istioCanary('ours')), make('theirs', istioCanary('theirs'))]);
    const merge = { spec: { http: [{ route: [to('theirs', 'stable', { weight: 100 })] }] } };
    await env.cluster.kubectl(
      ...['patch', 'virtualservice', 'theirs', '--type=merge', '-p', JSON.stringify(merge)],
    );
    await env.cluster.kubectl('delete', 'deployment', 'theirs-canary');
    await env.cluster.kubectl('delete', 'destinationrule', 'theirs-canary');

    const result = await env.run({ service: 'ours' });

    expect(result.message).toMatch(/^The canary of ours .* is taken out/);
    expect(titles(result)).toEqual([
      'Turn virtualservice/ours away from the canary: done',
      'Scale deployment/ours-canary to zero: done',
      'Delete destinationrule/ours-canary: done',
      'Delete deployment/ours-canary: done',
    ]);
    expect(result.outcome).toBe('rolled-back');
    expect((await left('ours')).map((one) => one.replace('ours', 'theirs'))).toEqual(
      await left('theirs'),
    );
    const route = [to('ours', 'stable', { weight: 100 }), to('ours', 'canary', { weight: 0 })];
    expect(await env.cluster.specOf('virtualservice', 'ours')).toEqual({
      hosts: ['ours'],
      http: [{ route }],
    });
  });

  test.concurrent('and every other route, match, header, timeout and mirror stays', async () => {
    const name = 'shaped';
    const full = `${name}.${env.cluster.namespace}.svc.cluster.local`;
    const others = [
      {
        match: [{ uri: { prefix: '/reports' } }],
        timeout: '5s',
        retries: { attempts: 3, perTryTimeout: '2s', retryOn: '5xx' },
        fault: { delay: { percentage: { value: 0.1 }, fixedDelay: '5s' } },
        corsPolicy: { allowOrigins: [{ exact: 'https://wakala.example' }] },
        mirror: { host: 'shadow', subset: 'v1' },
        mirrorPercentage: { value: 12.5 },
        route: [to('reports', 'v1', { weight: 25 }), to('reports', 'canary', { weight: 75 })],
      },
      { match: [{ uri: { exact: '/old' } }], redirect: { uri: '/new' } },
    ];
    const tcp = [{ match: [{ port: 9000 }], route: [to(name, 'stable')] }];
    const split = (...weights: number[]) => ({
      name: 'users',
      timeout: '1s',
      headers: { request: { set: { 'x-route': 'users' } } },
      route: ['stable', 'canary', 'third'].map((subset, index) =>
        to(full, subset, {
          weight: weights[index],
          headers: { response: { set: { 'x-subset': subset } } },
        }),
      ),
    });
    const testers = (subset: string) => ({
      match: [{ headers: { 'x-canary': { exact: 'always' } } }],
      retries: { attempts: 1 },
      route: [{ destination: { host: full, subset, port: { number: 80 } } }],
    });
    const copied = (mirrorPercentage?: object) => ({
      match: [{ uri: { prefix: '/copied' } }],
      route: [to(name, 'stable')],
      mirror: { host: name, subset: 'canary' },
      ...mirrorPercentage,
      mirrors: [
        {
          destination: { host: name, subset: 'canary' },
          percentage: { value: mirrorPercentage ? 0 : 50 },
        },
      ],
    });
    const tls = (...weights: number[]) => [
      {
        match: [{ port: 443, sniHosts: ['wakala.example'] }],
        route: ['stable', 'canary'].map((subset, index) =>
          to(name, subset, { weight: weights[index] }),
        ),
      },
    ];
    const spec = { gateways: ['edge'], exportTo: ['.'], tcp };
    await make(name, [
      ...bothVersions(name),
      destinationRule(name, name, ['stable', 'canary', 'third'], {
        trafficPolicy: { loadBalancer: { simple: 'LEAST_REQUEST' } },
      }),
      virtualService(name, {
        ...spec,
        http: [testers('canary'), others[0], split(60, 15, 25), others[1], copied()],
        tls: tls(95, 5),
      }),
    ]);
    const rule = await env.cluster.specOf('destinationrule', name);

    const result = await env.run({ service: name });

    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.specOf('virtualservice', name)).toEqual({
      ...{ hosts: [name], ...spec },
      http: [
        testers('stable'),
        others[0],
        split(75, 0, 25),
        others[1],
        copied({ mirrorPercentage: { value: 0 } }),
      ],
      tls: tls(100, 0),
    });
    const at = `VirtualService ${name} in ${env.cluster.namespace}`;
    expect(result.plan?.differences).toEqual(
      expect.arrayContaining([
        `${at}: http[0]: ${name}/canary -> ${name}/stable`,
        `${at}: http[2] (users): ${name}/canary 15 -> 0`,
        `${at}: http[2] (users): ${name}/stable 60 -> 75`,
        `${at}: http[4]: copies of 100 % to ${name}/canary -> 0 %`,
        `${at}: http[4]: copies of 50 % to ${name}/canary -> 0 %`,
      ]),
    );
    // A rule that is about others too stays whole; the canary's Deployment goes.
    expect(await env.cluster.specOf('destinationrule', name)).toEqual(rule);
    expect(result.plan?.warnings.join()).toContain(`DestinationRule ${name} is about others`);
    expect(await left(name)).not.toContain(`deployment/${name}-canary`);
  });

  test.concurrent('from every HTTPRoute that names it, with its matches and filters', async () => {
    const name = 'edge';
    const backend = (side: string, more: object = {}) => ({
      ...{ group: '', kind: 'Service', name: `${name}-${side}`, port: 80, weight: 1, ...more },
    });
    const prefix = (value: string) => [{ path: { type: 'PathPrefix', value } }];
    const header = [
      {
        path: { type: 'PathPrefix', value: '/' },
        headers: [{ type: 'Exact', name: 'x-canary', value: 'always' }],
      },
    ];
    const mirror = (percent?: number) => ({
      type: 'RequestMirror',
      requestMirror: {
        backendRef: { group: '', kind: 'Service', name: `${name}-canary`, port: 80 },
        ...(percent === undefined ? {} : { percent }),
      },
    });
    const set = {
      type: 'RequestHeaderModifier',
      requestHeaderModifier: { set: [{ name: 'x-route', value: 'users' }] },
    };
    const users = (stable: number, canary: number) => ({
      ...{ matches: prefix('/'), filters: [set], timeouts: { request: '10s' } },
      backendRefs: [backend('stable', { weight: stable }), backend('canary', { weight: canary })],
    });
    const testers = (side: string) => ({ matches: header, backendRefs: [backend(side)] });
    const copied = (percent?: number) => ({
      ...{ matches: prefix('/copied'), filters: [set, mirror(percent)] },
      backendRefs: [backend('stable')],
    });
    await make(name, [
      ...gatewayCanary(name),
      httpRoute(`${name}-more`, [testers('canary'), copied()]),
      httpRoute(name, [users(80, 20)]),
    ]);

    const result = await env.run({ service: name });

    expect(result.outcome).toBe('rolled-back');
    expect((await env.cluster.specOf('httproute', name)).rules).toEqual([users(100, 0)]);
    expect((await env.cluster.specOf('httproute', `${name}-more`)).rules).toEqual([
      testers('stable'),
      copied(0),
    ]);
    // A route that still names it must find the Service.
    expect(await left(name)).toContain(`service/${name}-canary`);
    expect(await left(name)).not.toContain(`deployment/${name}-canary`);
  });

  test.concurrent('by the names that the settings or a person give it', async () => {
    const all = ['renamed', 'named', 'by-pods'];
    for (const name of all) {
      await env.cluster.apply([
        serviceManifest(name, { app: name }),
        ...['v1', 'v2'].map((version) =>
          colourManifest(name, version, 'wakala/api:1.0.0', { replicas: 1 }),
        ),
        destinationRule(name, name, ['v1', 'v2']),
        virtualService(name, {
          http: [{ route: [to(name, 'v1', { weight: 50 }), to(name, 'v2', { weight: 50 })] }],
        }),
      ]);
    }
    await Promise.all(all.map((name) => env.cluster.rollout(`${name}-v1`)));

    const unnamed = await env.run({ service: 'named' });
    expect(unnamed.outcome).toBe('refused');
    expect(unnamed.message).toContain('its requests go to named/v1, named/v2');

    const results = await Promise.all([
      env.run({ service: 'renamed' }),
      env.run({ service: 'named', canary: 'v2' }),
      env.run({ service: 'by-pods', canary: 'by-pods-v2' }),
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual(Array(3).fill('rolled-back'));
    for (const name of all) {
      expect(await env.cluster.specOf('virtualservice', name)).toMatchObject({
        http: [{ route: [{ weight: 100 }, { weight: 0 }] }],
      });
      expect(await left(name)).not.toContain(`deployment/${name}-v2`);
    }
  });

  test.concurrent('where the Service of all versions selects its pods too', async () => {
    const name = 'plain';
    await make(name, [
      ...bothVersions(name),
      serviceManifest(`${name}-canary`, { app: name, version: 'canary' }),
      httpRoute(name, [
        {
          backendRefs: [
            { name, port: 80, weight: 9 },
            { name: `${name}-canary`, port: 80, weight: 1 },
          ],
        },
      ]),
    ]);

    const result = await env.run({ service: name });

    expect(result.outcome).toBe('rolled-back');
    expect(await left(name)).toEqual(expect.not.arrayContaining([`deployment/${name}-canary`]));
    expect(await left(name)).toContain(`deployment/${name}-stable`);
  });
});

describe('run again', () => {
  test.concurrent('it changes nothing, and says so', async () => {
    await make('twice', istioCanary('twice'));
    expect((await env.run({ service: 'twice' })).outcome).toBe('rolled-back');
    const read = () => env.cluster.kubectl('get', 'virtualservice', 'twice', '-o', 'json');
    const before = await read();

    const again = await env.run({ service: 'twice' });

    expect(again.outcome).toBe('no-op');
    expect(again.message).toContain('gets no traffic, and there is nothing of it to take out');
    expect(await read()).toBe(before);
  });

  test.concurrent('it deletes what was kept before', async () => {
    const objects = istioCanary('kept', { replicas: { canary: 2 } });
    await make('kept', objects, '--server-side');
    const kept = await env.run({ service: 'kept', keep: true });
    expect(kept.outcome).toBe('rolled-back');
    expect(await env.cluster.specOf('deployment', 'kept-canary')).toMatchObject({ replicas: 0 });
    expect(await left('kept')).toContain('destinationrule/kept-canary');
    expect((await env.run({ service: 'kept', keep: true })).outcome).toBe('no-op');

    const result = await env.run({ service: 'kept' });

    expect(result.outcome).toBe('rolled-back');
    // Who applies the routes the next time meets no conflict.
    await env.cluster.apply(objects.slice(-1), '--server-side');
    expect(await left('kept')).toEqual(
      expect.not.arrayContaining([expect.stringMatching('-canary')]),
    );
  });

  test.concurrent('it finishes what somebody has begun by hand', async () => {
    await make('begun', istioCanary('begun'));
    const merge = { spec: { http: [{ route: [to('begun', 'stable')] }] } };
    await env.cluster.kubectl(
      ...['patch', 'virtualservice', 'begun', '--type=merge', '-p', JSON.stringify(merge)],
    );
    await env.cluster.kubectl('delete', 'destinationrule', 'begun-canary');

    const result = await env.run({ service: 'begun' });

    expect(result.outcome).toBe('rolled-back');
    expect(await left('begun')).not.toContain('deployment/begun-canary');
    expect((await env.cluster.specOf('virtualservice', 'begun')).http).toEqual(merge.spec.http);
  });

  test.concurrent('a service without a canary is left alone', async () => {
    await env.cluster.apply([
      ...bothVersions('alone').slice(0, 2),
      destinationRule('alone', 'alone', ['stable']),
      virtualService('alone', { http: [{ route: [to('alone', 'stable')] }] }),
    ]);

    const result = await env.run({ service: 'alone' });

    expect(result.outcome).toBe('no-op');
    expect(result.message).toMatch(
      /^alone in .* has no canary: all its requests go to alone.stable/,
    );
  });
});

describe('an abort puts back exactly what was there', () => {
  const spread = (name: string) =>
    virtualService(name, {
      http: [
        {
          match: [{ headers: { 'x-canary': { exact: 'always' } } }],
          route: [{ destination: { host: name, subset: 'canary' } }],
        },
        {
          route: [to(name, 'stable', { weight: 73 }), to(name, 'canary', { weight: 27 })],
          mirror: { host: name, subset: 'canary' },
        },
      ],
    });

  test.concurrent('weights, destinations, copies and replicas of a VirtualService', async () => {
    await make('aborted', [
      ...istioCanary('aborted', { replicas: { canary: 3 } }),
      spread('aborted'),
    ]);
    const before = await env.cluster.specOf('virtualservice', 'aborted');
    const paused = await env.runUntilPaused({ service: 'aborted' });
    expect(paused.pausedAt[0]?.step).toBe('Check health');
    expect(await env.cluster.specOf('deployment', 'aborted-canary')).toMatchObject({ replicas: 0 });

    const result = await env.abort(paused);

    expect(result.outcome).toBe('aborted');
    expect(await env.cluster.specOf('virtualservice', 'aborted')).toEqual(before);
    const { spec, status } = await env.cluster.deployment('aborted-canary');
    expect([spec?.replicas, status?.availableReplicas]).toEqual([3, 3]);
    expect(await left('aborted')).toContain('destinationrule/aborted-canary');
  });

  test.concurrent('of an HTTPRoute', async () => {
    await make('gated', gatewayCanary('gated'));
    const before = await env.cluster.specOf('httproute', 'gated');

    const result = await env.abort(await env.runUntilPaused({ service: 'gated' }));

    expect(result.outcome).toBe('aborted');
    expect(await env.cluster.specOf('httproute', 'gated')).toEqual(before);
  });

  test.concurrent('and nobody but a person brings the canary its traffic back', async () => {
    await make('held', istioCanary('held'));

    const paused = await env.runUntilPaused({ service: 'held', onFailure: 'compensate' });

    expect(paused.pausedAt[0]?.step).toBe('Check health');
    expect(await env.cluster.specOf('virtualservice', 'held')).toMatchObject({
      http: [{ route: [{ weight: 100 }, { weight: 0 }] }],
    });
    await env.abort(paused);
  });
});

test.concurrent('nothing is deleted where a red check was left out', async () => {
  await make('skipped', istioCanary('skipped'));
  const paused = await env.runUntilPaused({ service: 'skipped' });

  await env.decideStep(paused, 'skip');

  const result = await env.result(paused.workflowId);
  expect(result.outcome).toBe('rolled-back');
  expect(result.gaps).toEqual([
    expect.stringContaining('Check health was left out'),
    'Since something was left out, nothing of the canary was deleted.',
  ]);
  expect(await left('skipped')).toEqual(
    expect.arrayContaining(['deployment/skipped-canary', 'destinationrule/skipped-canary']),
  );
});
