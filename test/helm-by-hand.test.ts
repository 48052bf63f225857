import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { TestCluster } from './support/cluster.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';
import { chart, TestReleases } from './support/releases.ts';

/** What works with a kubeconfig alone: no Temporal and no worker is up in this file. */
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];
const cluster = new TestCluster(`test-${randomBytes(4).toString('hex')}`);
const releases = new TestReleases(() => cluster);
const cli = new CommandLine({
  TEMPORAL_ADDRESS: nowhere,
  ROLLBACK_CONFIG: settingsFileWith(`kubernetes: { namespace: ${cluster.namespace} }`),
});

beforeAll(async () => {
  await execa('kubectl', ['create', 'namespace', cluster.namespace]);
});
afterAll(() => execa('kubectl', ['delete', 'namespace', '--wait=false', cluster.namespace]));

describe('rollback history of a release', () => {
  test.concurrent('shows what helm shows, and which revision is the last good one', async () => {
    await releases.versions('listed', v1);
    await releases.failedUpgrade('listed', 'wakala/api:2.0.0-broken');
    await releases.release('listed', { image: v2 });

    const { stdout } = await cli.run('history', 'helm/listed');
    const [found] = await cli.json<Record<string, unknown>[]>('history', 'release/listed');

    expect(stdout.split('\n')[1]).toMatch(
      /^3 \(current\) +deployed +wakala-1\.0\.0 +1\.0\.0 +\d+s +Upgrade complete$/,
    );
    expect(
      found?.map(({ revision, status, current, lastGood }) => [
        revision,
        status,
        current,
        lastGood,
      ]),
    ).toEqual([
      [3, 'deployed', true, false],
      [2, 'failed', false, false],
      [1, 'superseded', false, true],
    ]);
  });

  test.concurrent('keeps a description of several lines on one', async () => {
    await releases.release('lines', { image: v1 });
    await releases.helm(
      ...['upgrade', 'lines', chart, '--set', `image=${v1}`, '--description', 'one\n  two\n'],
    );

    const { stdout } = await cli.run('history', 'helm/lines');

    expect(stdout.trim().split('\n')).toHaveLength(3);
    expect(stdout).toMatch(/one two$/m);
  });

  test.concurrent('names no good revision of a release that was uninstalled', async () => {
    await releases.versions('gone', v1, v2);
    await releases.helm('uninstall', 'gone', '--keep-history');

    const { stdout } = await cli.run('history', 'helm/gone');

    expect(stdout).toContain('2 (current)');
    expect(stdout).not.toContain('last good');
  });

  test.concurrent('says where there is none', async () => {
    const { exitCode, stderr } = await cli.run('history', 'helm/absent');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('There is no Helm release absent in namespace');
  });
});

describe('rollback plan helm --commands', () => {
  test.concurrent('gives commands that roll back once, however often they are run', async () => {
    await releases.versions('by-hand', v1, v2);
    const { stdout: commands } = await cli.run('plan', 'helm', 'by-hand', '--commands');

    await execa('sh', { input: commands });

    expect(await releases.standing('by-hand')).toBe('3 deployed');
    expect(await releases.image('by-hand')).toBe(v1);

    const again = await execa('sh', { input: commands });

    expect(again.stderr).toContain('has the planned objects already: nothing is changed.');
    expect(await releases.standing('by-hand')).toBe('3 deployed');
  });

  test.concurrent('gives commands that leave somebody else’s upgrade alone', async () => {
    await releases.versions('overtaken', v1, v2);
    const { stdout: commands } = await cli.run('plan', 'helm', 'overtaken', '--commands');
    await releases.release('overtaken', { image: v3 });

    const { exitCode, stderr } = await execa('sh', { input: commands, reject: false });

    expect(exitCode).toBe(1);
    expect(stderr).toContain('no longer at revision 2, and not as planned: nothing is changed.');
    expect(await releases.image('overtaken')).toBe(v3);
  });

  test.concurrent('names the lead where a hook migrates', async () => {
    await releases.release('migrated', { image: v1, 'migration.enabled': true });
    await releases.release('migrated', { image: v2 });

    const { stdout } = await cli.run('plan', 'helm', 'migrated', '--commands');

    expect(stdout).toContain('# Ask 1 team-lead before you run this');
    expect(stdout).toContain('# Hooks that change data run with it: migrated-migrate');
  });
});
