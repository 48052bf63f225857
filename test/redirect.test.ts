import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { serviceManifest } from '../sandbox/kubernetes/manifests.ts';
import type { Ingress } from '../src/activities/kubernetes/ingress/ingress.ts';
import { ingress, path, rule, serve, to } from './support/ingresses.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { makeServiceAccounts, removeClusterRoles, takeAway } from './support/service-accounts.ts';

const red = { health: { url: 'http://127.0.0.1:1/health', retries: 0 } };
const env = useRollbackEnvironment(
  {
    maintenance: { service: 'page', port: 80 },
    services: { checked: { service: 'checked', checks: red } },
  },
  { procedure: 'redirect' },
);
const cluster = () => env.cluster;
const accounts = {
  allowed: undefined,
  'no-list': { kind: 'ClusterRole', verb: 'list', resource: 'ingresses' },
  taken: undefined,
} as const;
const admin = process.env.KUBECONFIG;

beforeAll(async () => {
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, accounts);
  await serve(cluster(), ['page', 'web', 'checked', 'other']);
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(accounts));
  process.env.KUBECONFIG = admin;
});

const specOf = async (name: string) => (await cluster().get<Ingress>('ingress', name)).spec;
const names = async () => cluster().kubectl('get', 'ingress', '-o', 'name');

describe('redirecting a host', () => {
  test.concurrent(
    'swaps every backend of it and nothing else, and off puts back exactly that',
    async () => {
      const tls = [{ hosts: ['shop.example.com', 'blog.example.com'], secretName: 'certificate' }];
      const rules = [
        rule('shop.example.com', path('/', 'web'), path('/api', 'gone', 'Exact')),
        rule('blog.example.com', path('/', 'web')),
        rule('shop.example.com', path('/late', 'web')),
      ];
      const defaultBackend = to('web');
      await cluster().apply([
        ingress('shop', { rules, tls, defaultBackend }, { 'example.com/kept': 'yes' }),
        ingress('shop-canary', { rules: [rule('shop.example.com', path('/', 'web'))] }),
      ]);
      const before = [await specOf('shop'), await specOf('shop-canary')];

      const result = await env.run({ host: 'shop.example.com' });

      expect(result.outcome).toBe('rolled-back');
      expect(await specOf('shop')).toEqual({
        ...{ tls, defaultBackend },
        rules: [
          rule('shop.example.com', path('/', 'page'), path('/api', 'page', 'Exact')),
          rule('blog.example.com', path('/', 'web')),
          rule('shop.example.com', path('/late', 'page')),
        ],
      });
      expect(await specOf('shop-canary')).toMatchObject({
        rules: [rule('shop.example.com', path('/', 'page'))],
      });
      expect(result.plan?.warnings.join('\n')).toContain('its default backend stays');
      expect((await env.run({ host: 'shop.example.com' })).outcome).toBe('no-op');

      const off = await env.run({ host: 'shop.example.com', state: 'off' });

      expect(off.outcome).toBe('rolled-back');
      expect([await specOf('shop'), await specOf('shop-canary')]).toEqual(before);
      expect((await env.run({ host: 'shop.example.com', state: 'off' })).outcome).toBe('no-op');
    },
  );

  test.concurrent(
    'takes the default backend with it where the Ingress is about that host only',
    async () => {
      const tls = [{ hosts: ['plain.example.com'] }];
      await cluster().apply([
        ingress('plain', { tls, defaultBackend: to('web') }),
        ingress('bare', { rules: [{ host: 'bare.example.com' }], defaultBackend: to('web') }),
        ingress('mixed', {
          rules: [{ host: 'mixed.example.com' }, { host: 'other.example.com' }],
          defaultBackend: to('web'),
        }),
      ]);
      const before = await specOf('mixed');
      for (const name of ['plain', 'bare', 'mixed']) {
        expect((await env.run({ host: `${name}.example.com` })).outcome).toBe('rolled-back');
      }

      expect(await specOf('plain')).toEqual({ tls, defaultBackend: to('page') });
      expect(await specOf('bare')).toEqual({
        rules: [rule('bare.example.com', path('/', 'page'))],
        defaultBackend: to('page'),
      });
      expect(await specOf('mixed')).toEqual({
        rules: [rule('mixed.example.com', path('/', 'page')), { host: 'other.example.com' }],
        defaultBackend: to('web'),
      });
      await env.run({ host: 'mixed.example.com', state: 'off' });
      expect(await specOf('mixed')).toEqual(before);
    },
  );

  test.concurrent(
    'makes an Ingress only where the host has none, and off removes that one',
    async () => {
      await cluster().apply([
        ingress('wide', { rules: [rule('*.wide.example.com', path('/', 'web'))] }),
      ]);
      const wide = await specOf('wide');

      const result = await env.run({ host: 'new.wide.example.com' });

      expect(result.outcome).toBe('rolled-back');
      expect(result.plan?.warnings.join('\n')).toContain('Ingress wide in');
      expect(await specOf('maintenance-new.wide.example.com')).toMatchObject({
        rules: [rule('new.wide.example.com', path('/', 'page'))],
      });
      expect((await env.run({ host: 'new.wide.example.com' })).outcome).toBe('no-op');

      const off = await env.run({ host: 'new.wide.example.com', state: 'off' });
      expect(off.outcome).toBe('rolled-back');
      expect(await names()).not.toContain('maintenance-new');
      expect(await specOf('wide')).toEqual(wide);
    },
  );

  test.concurrent('to another page still goes back to what was there at first', async () => {
    await cluster().apply([
      ingress('moved', { rules: [rule('moved.example.com', path('/', 'web'))] }),
    ]);
    await env.run({ host: 'moved.example.com' });
    const again = await env.run({ host: 'moved.example.com', service: 'other' });
    expect(again.outcome).toBe('rolled-back');
    expect(await specOf('moved')).toMatchObject({
      rules: [rule('moved.example.com', path('/', 'other'))],
    });
    await env.run({ host: 'moved.example.com', state: 'off' });
    expect(await specOf('moved')).toMatchObject({
      rules: [rule('moved.example.com', path('/', 'web'))],
    });
  });
});

describe('the traffic stays where it is', () => {
  beforeAll(async () => {
    const selector = { app: 'nobody' };
    await cluster().apply([
      serviceManifest('empty', selector),
      ingress('held', { rules: [rule('held.example.com', path('/', 'web'))] }),
      ingress('maintenance-taken.example.com', { defaultBackend: to('web') }),
    ]);
  });

  test.concurrent.each<[string, object, RegExp]>([
    [
      'a page that is not there',
      { service: 'absent' },
      /no Service absent in namespace.*own namespace only/,
    ],
    ['a port that it does not have', { port: 8080 }, /has no port 8080: it has 80/],
    ['a page without ready pods', { service: 'empty' }, /no ready endpoint/],
    ['a name that is taken', { host: 'taken.example.com' }, /not about taken\.example\.com/],
  ])('for %s, in one sentence', async (_, input, words) => {
    const result = await env.run({ host: 'held.example.com', ...input });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
    expect(await specOf('held')).toMatchObject({
      rules: [rule('held.example.com', path('/', 'web'))],
    });
  });

  test.concurrent('where no host is named', async () => {
    const result = await env.run({});
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('maintenance.host in the settings');
    const failure = await env.failure({ host: 'not a host' });
    expect(failure.message).toContain('Field "host" is not a host such as');
  });

  test.concurrent('where an Ingress of another namespace has the host', async () => {
    const other = await env.anotherNamespace();
    const host = 'elsewhere.example.com';
    await other.apply([ingress('elsewhere', { rules: [rule(host, path('/', 'web'))] })]);

    const result = await env.run({ host });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`Ingress elsewhere in namespace ${other.namespace} is about`);

    const unseen = await env.run({ host, context: 'no-list', dryRun: true });
    expect(unseen.plan?.warnings.join('\n')).toContain(
      'may not list the Ingresses of other namespaces',
    );
  });

  test.concurrent('where somebody changes the Ingress after the plan', async () => {
    const host = 'overtaken.example.com';
    await cluster().apply([ingress('overtaken', { rules: [rule(host, path('/', 'web'))] })]);
    const id = await env.startInterrupted(
      { host },
      () => cluster().apply([ingress('overtaken', { rules: [rule(host, path('/', 'checked'))] })]),
      cluster(),
      'ingress/overtaken',
    );
    const waiting = await env.untilWaiting(id);
    expect(waiting.plannedAgain).toContain('was changed after the plan was made');
    expect(waiting.plan?.differences).toEqual(['Ingress overtaken: checked -> page']);
    expect(await specOf('overtaken')).toMatchObject({ rules: [rule(host, path('/', 'checked'))] });
    await env.decide(id, 'reject', 'on-call');
  });
});

describe('going back', () => {
  test.concurrent(
    'is refused where somebody has changed the rules since, as is redirecting again',
    async () => {
      const host = 'touched.example.com';
      await cluster().apply([ingress('touched', { rules: [rule(host, path('/', 'web'))] })]);
      await env.run({ host });
      const add = [{ op: 'add', path: '/spec/rules/0/http/paths/-', value: path('/new', 'web') }];
      await cluster().kubectl(
        'patch',
        'ingress',
        'touched',
        '--type=json',
        '-p',
        JSON.stringify(add),
      );

      for (const state of ['off', 'on']) {
        const result = await env.run({ host, state });
        expect(result.outcome).toBe('refused');
        expect(result.plan).toBeUndefined();
        expect(result.message).toContain('Somebody has changed what Ingress touched');
      }
      expect(await specOf('touched')).toMatchObject({
        rules: [rule(host, path('/', 'page'), path('/new', 'web'))],
      });
    },
  );

  test.concurrent('is refused where nobody would answer', async () => {
    const host = 'dead.example.com';
    await cluster().apply([ingress('dead', { rules: [rule(host, path('/', 'gone'))] })]);
    await env.run({ host });
    const result = await env.run({ host, state: 'off' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('(gone) has a ready endpoint');
  });

  test.concurrent('is verified, and abort shows the page again', async () => {
    const host = 'checked.example.com';
    await cluster().apply([ingress('checked', { rules: [rule(host, path('/', 'checked'))] })]);
    await env.run({ host });
    const redirected = await specOf('checked');

    const paused = await env.runUntilPaused({ host, state: 'off' });
    expect(paused.message).toContain('Check health');
    expect((await env.abort(paused)).outcome).toBe('aborted');

    expect(await specOf('checked')).toEqual(redirected);
    await cluster().kubectl('get', 'ingress', 'checked');
    expect((await env.run({ host, state: 'off', dryRun: true })).outcome).toBe('dry-run');
  });

  test.concurrent(
    'does not happen by itself where one of several cannot be redirected',
    async () => {
      const host = 'half.example.com';
      await cluster().apply([ingress('half', { rules: [rule(host, path('/', 'web'))] })]);
      const patch = { kind: 'Role', verb: 'patch', resource: 'ingresses' } as const;
      const id = await env.startInterrupted(
        { host, context: 'taken', onFailure: 'compensate' },
        () => takeAway(cluster(), 'taken', patch),
        cluster(),
        'ingress/half',
      );
      // Nothing was redirected, so there is nothing to hold on to.
      const result = await env.result(id);
      expect(result.outcome).toBe('compensated');
      expect(result.message).toMatch(/cannot patch resource "ingresses".*kubernetes-role\.yaml/);
    },
  );
});

test.concurrent('with the role in deploy/ all of it can be done', async () => {
  const host = 'allowed.example.com';
  const context = 'allowed';
  await cluster().apply([ingress('allowed', { rules: [rule(host, path('/', 'web'))] })]);
  for (const input of [{ host }, { host: 'fresh.example.com' }]) {
    expect((await env.run({ ...input, context })).outcome).toBe('rolled-back');
    expect((await env.run({ ...input, context, state: 'off' })).outcome).toBe('rolled-back');
  }
  expect(await names()).not.toContain('maintenance-fresh');
});
