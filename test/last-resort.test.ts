import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import type { Plan } from '../src/contract/plan.ts';
import { TestCluster, written } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';

/** What works with a kubeconfig alone: no Temporal and no worker is up in this file. */
const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const cluster = new TestCluster(`test-${randomBytes(4).toString('hex')}`);
const services = {
  front: { deployment: 'front', after: ['store'] },
  till: { deployment: 'till', after: ['vault'] },
  ...{ store: { deployment: 'store' }, vault: { deployment: 'vault' } },
};
const cli = new CommandLine({
  TEMPORAL_ADDRESS: nowhere,
  ROLLBACK_CONFIG: settingsFileWith(
    JSON.stringify({ kubernetes: { namespace: cluster.namespace }, services }),
  ),
});

beforeAll(async () => {
  await execa('kubectl', ['create', 'namespace', cluster.namespace]);
});
afterAll(() => execa('kubectl', ['delete', 'namespace', '--wait=false', cluster.namespace]));

describe('rollback plan', () => {
  test.concurrent('shows what a run would do', async () => {
    await cluster.history('planned', 2, v1, v2);

    const { exitCode, stdout } = await cli.run('plan', 'deployment', 'planned');

    expect(exitCode).toBe(0);
    expect(stdout).toContain(`goes from revision 2 back to revision 1: ${v2} -> ${v1}`);
    const [plan] = await cli.json<Plan>('plan', 'deployment', 'planned');
    expect(stdout).toContain(`Digest ${plan?.digest.slice(0, 12)}`);
  });

  test.concurrent('gives commands that roll back once, however often they are run', async () => {
    await cluster.history('by-hand', 2, v1, v2);
    const { stdout: commands } = await cli.run('plan', 'deployment', 'by-hand', '--commands');

    await execa('sh', { input: commands });

    expect(await cluster.image('by-hand')).toBe(v1);
    const { metadata } = await cluster.deployment('by-hand');

    const again = await execa('sh', { input: commands });

    expect(again.stderr).toContain('is at the planned template already: nothing is changed.');
    const after = await cluster.deployment('by-hand');
    expect(written(after)).toEqual(written({ metadata }));

    // Who pipes the plan to a shell plans anew.
    const planned = await cli.run('plan', 'deployment', 'by-hand', '--commands');
    await execa('sh', { input: planned.stdout });
    expect(planned.stdout).toContain('already at revision 3');
    expect(planned.stdout).toContain(
      'the commands of rollback plan rolled it back from revision 2',
    );
    expect(await cluster.image('by-hand')).toBe(v1);
  });

  test.concurrent(
    'warns of the version that somebody has left by kubectl rollout undo',
    async () => {
      await cluster.history('undone', 1, v1, v2);
      const before = await cli.run('plan', 'deployment', 'undone');
      await cluster.kubectl('rollout', 'undo', 'deployment/undone');
      await cluster.rollout('undone');

      const after = await cli.run('plan', 'deployment', 'undone');

      const warning = 'somebody has gone back to it since revision 2 was released';
      expect(after.stdout).toContain(
        `Revision 3, which runs now, was revision 1 before, so ${warning}`,
      );
      expect(before.stdout).not.toContain('gone back to it');
    },
  );

  test.concurrent('gives commands that leave somebody else’s newer version alone', async () => {
    await cluster.history('overtaken', 1, v1, v2);
    const { stdout: commands } = await cli.run('plan', 'deployment', 'overtaken', '--commands');
    await cluster.release('overtaken', 'wakala/api:3.0.0');

    const { exitCode, stderr } = await execa('sh', { input: commands, reject: false });

    expect(exitCode).toBe(1);
    expect(stderr).toContain('no longer at revision 2, and at another template than planned');
    expect(await cluster.image('overtaken')).toBe('wakala/api:3.0.0');
  });

  test.concurrent('gives no command that would roll the bad version out first', async () => {
    await cluster.history('held', 1, v1, v2);
    await cluster.kubectl('rollout', 'pause', 'deployment/held');

    const refused = await cli.run('plan', 'deployment', 'held', '--commands');
    expect(refused).toMatchObject({ exitCode: 2, stdout: '' });
    expect(refused.stderr).toContain('--unpause');

    const { stdout } = await cli.run('plan', 'deployment', 'held', '--commands', '--unpause');
    const { exitCode, stderr } = await execa('sh', { input: stdout, reject: false });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('It is paused');
    expect((await cluster.deployment('held')).spec?.paused).toBe(true);
  });

  test.concurrent('gives commands for several that go in the order of the settings', async () => {
    await Promise.all(['front', 'store', 'aside'].map((name) => cluster.history(name, 1, v1, v2)));
    const asked = ['plan', 'services', 'front', 'store', 'aside'];

    const { stdout: headline } = await cli.run(...asked);
    const { stdout: commands } = await cli.run(...asked, '--commands');

    expect(headline).toContain('3 Deployments go back, in order: store, aside, front.');
    const words = commands.matchAll(/rollout (undo|status) deployment\/(\w+)/g);
    expect([...words].map(([, verb, name]) => `${verb} ${name}`)).toEqual([
      ...['undo store', 'undo aside', 'status store', 'status aside'],
      ...['undo front', 'status front'],
    ]);
    await execa('sh', { input: commands });
    for (const name of ['front', 'store', 'aside']) expect(await cluster.image(name)).toBe(v1);
  });

  test.concurrent('gives commands that begin nothing after one that does not come up', async () => {
    await cluster.kubectl('create', 'deployment', 'vault', '--image=wakala/api:1.0.0-crash');
    await cluster.release('vault', v2);
    await cluster.history('till', 1, v1, v2);
    const { stdout } = await cli.run('plan', 'services', 'till', 'vault', '--commands');
    const soon = stdout.replaceAll('--timeout=10m', '--timeout=3s');

    const { exitCode } = await execa('sh', { input: soon, reject: false });

    expect(exitCode).toBe(1);
    expect(await cluster.image('vault')).toBe('wakala/api:1.0.0-crash');
    expect(await cluster.image('till')).toBe(v2);
  });

  test.concurrent('tells what keeps it from planning, with an exit code for each', async () => {
    const broken = settingsFileWith('services:\n  api: { deploymnt: api }\naliases: []\n');
    const [absent, lost, unset, wrong] = await Promise.all([
      cli.run('plan', 'deployment', 'absent'),
      cli.with({ KUBECONFIG: '/no/such/kubeconfig' }).run('plan', 'deployment', 'api'),
      cli.with({ ROLLBACK_CONFIG: broken }).run('plan', 'deployment', 'api'),
      cli.run('plan', 'deployment', 'team/api'),
    ]);
    expect(absent.exitCode).toBe(2);
    expect(absent.stderr).toContain('There is no Deployment absent');
    expect(lost.exitCode).toBe(5);
    expect(lost.stderr).toContain('set KUBECONFIG');
    expect(unset.exitCode).toBe(2);
    expect(unset.stderr).toContain(`${broken}:2:21 services.api.deploymnt: is not a known setting`);
    expect(unset.stderr).toContain(`${broken}:3:10 aliases: `);
    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toContain('Field "deployment" (NAME) is not a Kubernetes name');
  });
});

test.concurrent('history tells which revision is which, and what each was for', async () => {
  await cluster.deploy('told', v1, 1);
  await cluster.kubectl('annotate', 'deployment/told', 'kubernetes.io/change-cause=first release');
  await eventually('revision 1 has its cause', async () => {
    const set = (await cluster.replicaSets('told')).get(v1);
    return set?.metadata?.annotations?.['kubernetes.io/change-cause'] === 'first release';
  });
  await cluster.release('told', v2);

  const { exitCode, stdout } = await cli.run('history', 'deployment/told');

  expect(exitCode).toBe(0);
  const lines = stdout.split('\n');
  expect(lines[1]).toMatch(/^2 \(current\) +wakala\/api:2\.0\.0-bad +1 +\d+s/);
  expect(lines[2]).toMatch(/^1 +wakala\/api:1\.0\.0 +0 +\d+s +first release/);
  const [revisions] = await cli.json<{ revision: number; current: boolean }[]>('history', 'told');
  expect(revisions?.map(({ revision, current }) => [revision, current])).toEqual([
    [2, true],
    [1, false],
  ]);
  const absent = await cli.run('history', 'no\nsuch');
  expect(absent.exitCode).toBe(2);
  expect(absent.stderr.split('\n')).toHaveLength(1);
});

test.concurrent('pods tells why a pod does not run', async () => {
  await cluster.kubectl('create', 'deployment', 'crashing', '--image=wakala/api:1.0.0-broken');
  await cluster.pods('crashing', 'wakala/api:1.0.0-broken');

  const [pods] = await cli.json<{ pod: string; ready: boolean; images: string[] }[]>(
    ...['pods', 'crashing'],
  );

  expect(pods).toMatchObject([{ ready: false, images: ['wakala/api:1.0.0-broken'] }]);
  const { stdout } = await cli.run('pods', 'crashing');
  expect(stdout.split('\n')[0]).toMatch(/^POD +STATE +READY +RESTARTS +AGE +IMAGE$/);
  expect(stdout).toContain(pods?.[0]?.pod);
});

describe('help', () => {
  test.concurrent.each([
    ['--help', 'rollback deployment wakala-api -n production --reason'],
    ['deployment --help', "echo '{"],
    ['plan --help', 'rollback plan deployment wakala-api --commands | sh'],
    ['history --help', 'such as deployment/wakala-api'],
    ['list --help', '--open'],
    ['status --help', 'workflow id of the run'],
    ['watch --help', 'the exit code is that of its outcome'],
    ['pods --help', '--watch'],
    ['doctor --help', '--mend'],
  ])('of %s needs nothing that runs, and shows how', async (args, words) => {
    const nothing = { KUBECONFIG: '/no', ROLLBACK_CONFIG: '/no' };
    const { exitCode, stdout } = await cli.with(nothing).run(...args.split(' '));
    expect(exitCode).toBe(0);
    expect(stdout).toContain(words);
  });

  test.concurrent('is where a word is neither a command nor an alias', async () => {
    const { exitCode, stderr } = await cli.run('deploymnt', 'api');
    expect(exitCode).toBe(2);
    expect(stderr).toContain("unknown command 'deploymnt'");
    expect(stderr).toContain('Did you mean deployment?');
    expect((await cli.run('constructor')).stderr).toContain("unknown command 'constructor'");
  });

  test.concurrent('is not all that a person gets whose alias lies in broken settings', async () => {
    const broken = settingsFileWith('aliases: { api: [deployment, api], web: deployment web }\n');
    const { exitCode, stderr } = await cli.with({ ROLLBACK_CONFIG: broken }).run('api');
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${broken}:1:41 aliases.web: `);
  });
});
