import { beforeAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Ingress,
  redirectedAnnotation,
} from '../src/activities/kubernetes/ingress/ingress.ts';
import { written } from './support/cluster.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';
import { ingress, path, rule, serve, to } from './support/ingresses.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

/** Redirects by hand: runs redirect here, and the commands that end that need no Temporal. */
const env = useRollbackEnvironment(
  { maintenance: { service: 'page', port: 80 } },
  { procedure: 'redirect' },
);
const cluster = () => env.cluster;

beforeAll(() => serve(cluster(), ['page', 'web', 'other']));

const cli = () => new CommandLine({ TEMPORAL_ADDRESS: nowhere, ROLLBACK_CONFIG: env.settingsFile });
const specOf = async (name: string) => (await cluster().get<Ingress>('ingress', name)).spec;

test.concurrent('commands redirect a host, however often they are run', async () => {
  const host = 'by-hand.example.com';
  const other = rule('other.example.com', path('/', 'web'));
  await cluster().apply([
    ingress('by-hand', { rules: [rule(host, path('/', 'web'), path('/api', 'web')), other] }),
  ]);
  const kubernetes = { namespace: cluster().namespace };
  const maintenance = { service: 'page' };
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(JSON.stringify({ kubernetes, maintenance })),
  });
  const cwd = mkdtempSync(join(tmpdir(), 'rollback-by-hand-'));
  for (const name of [host, 'hand-made.example.com']) {
    const { stdout } = await cli.run('plan', 'redirect', 'on', '--host', name, '--commands');
    await execa('sh', { input: stdout, cwd });
    await execa('sh', { input: stdout, cwd });
  }

  expect(await specOf('by-hand')).toMatchObject({
    rules: [rule(host, path('/', 'page'), path('/api', 'page')), other],
  });
  expect(await specOf('maintenance-hand-made.example.com')).toMatchObject({
    rules: [rule('hand-made.example.com', path('/', 'page'))],
  });
});

test.concurrent('commands take back what a run has redirected, exactly and once', async () => {
  const host = 'stuck.example.com';
  const aside = 'stuck-aside.example.com';
  const odd = path(`/it's "$(odd)" – é`, 'web', 'Exact');
  await cluster().apply([
    ingress('stuck', {
      rules: [rule(host, path('/', 'web'), odd), rule(aside, path('/', 'web')), { host }],
      defaultBackend: to('other'),
    }),
    ingress('stuck-alone', {
      tls: [{ hosts: [host] }],
      defaultBackend: to('web'),
    }),
  ]);
  const seen = () => Promise.all(['stuck', 'stuck-alone'].map(specOf));
  const before = await seen();
  await env.run({ host });
  const shown = await seen();
  await env.run({ host: aside });
  const off = ['plan', 'redirect', 'off', '-n', cluster().namespace, '--commands', '--host'];
  const { stdout: commands } = await cli().run(...off, host);
  const { stdout: commandsAside } = await cli().run(...off, aside);

  // The note has the other host as well, so each has to be asked for when its turn comes.
  await execa('sh', { input: commands });
  expect((await execa('sh', { input: commandsAside, reject: false })).exitCode).toBe(1);
  expect(await seen()).not.toEqual(before);
  await execa('sh', { input: (await cli().run(...off, aside)).stdout });

  expect(shown).not.toEqual(before);
  expect(await seen()).toEqual(before);
  const note = (await cluster().get<Ingress>('ingress', 'stuck')).metadata?.annotations ?? {};
  expect(note).not.toHaveProperty([redirectedAnnotation]);
  const { metadata } = await cluster().get<Ingress>('ingress', 'stuck');
  await execa('sh', { input: commands });
  expect(written(await cluster().get<Ingress>('ingress', 'stuck'))).toEqual(written({ metadata }));
  expect((await env.run({ host, state: 'off' })).outcome).toBe('no-op');
});

test.concurrent(
  'commands that take a redirect back leave what somebody has changed since',
  async () => {
    const host = 'stolen.example.com';
    await cluster().apply([ingress('stolen', { rules: [rule(host, path('/', 'web'))] })]);
    await env.run({ host });
    const { stdout } = await cli().run(
      ...['plan', 'redirect', 'off', '-n', cluster().namespace, '--commands', '--host', host],
    );
    await cluster().apply([ingress('stolen', { rules: [rule(host, path('/', 'other'))] })]);

    const { exitCode, stderr } = await execa('sh', { input: stdout, reject: false });

    expect(exitCode).toBe(1);
    expect(stderr).toContain('Ingress stolen is not as it was planned: nothing more is done.');
    expect(await specOf('stolen')).toMatchObject({ rules: [rule(host, path('/', 'other'))] });
  },
);
