import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execa } from 'execa';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import { verificationActivities } from '../src/activities/verification/index.ts';
import { settingsSchema } from '../src/config/schema.ts';
import type { Change, Target } from '../src/contract/plan.ts';
import { endpoints } from './support/colours.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { TestCluster } from './support/cluster.ts';
import { HealthServer } from './support/health-server.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentLogger } from './support/silent-logger.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const wakala = process.env.WAKALA_URL ?? '';
const server = new HealthServer();
await server.start();
const soon = { retries: 1, every: '100ms' };
const checks = {
  health: { url: server.url, requests: 4, ...soon },
  smoke: { command: ['true'], ...soon },
};
const settings = {
  services: {
    checked: { deployment: 'checked', checks },
    compensated: { deployment: 'compensated', checks },
    // Its pods have no such container.
    mute: {
      deployment: 'mute',
      checks: { logs: { selector: 'app=mute', container: 'sidecar', retries: 0 } },
    },
    // The sandbox's service, whose pods have logs. No other test file may use this namespace.
    'wakala-api': {
      namespace: 'production',
      deployment: 'wakala-api',
      checks: {
        health: { url: `${wakala}/health`, requests: 20, ...soon },
        logs: { selector: 'app=wakala-api', retries: 0 },
      },
    },
  },
};
const env = useRollbackEnvironment(settings);
afterAll(() => server.stop());

describe('a red check', () => {
  beforeAll(() => {
    server.answer = () => 500;
  });

  test('pauses the run, in the words of the check, and the good version stays', async () => {
    await env.cluster.history('checked', 2, v1, v2);

    const result = await env.runUntilPaused({ deployment: 'checked' });

    expect(result.pausedAt[0]?.error).toBe(
      `health: 4 of 4 requests to ${server.url} failed (HTTP 500), at most 0 may; 2 attempts.`,
    );
    expect(await env.cluster.image('checked')).toBe(v1);
    // The others are told as well: what is green narrows down what is wrong.
    expect(result.steps.map(({ title, state }) => `${title}: ${state}`)).toEqual(
      expect.arrayContaining(['Check health: paused', 'Check smoke: done']),
    );
    expect(await env.isFree('checked')).toBe(false);
  });

  test('does not bring the bad version back where the run may go back by itself', async () => {
    const broken = 'wakala/api:2.0.0-broken';
    await env.cluster.deploy('compensated', v1, 2);
    await env.cluster.release('compensated', broken, false);
    await env.cluster.pods('compensated', broken);

    const result = await env.runUntilPaused({ deployment: 'compensated', onFailure: 'compensate' });

    expect(result.message).toContain('health: 4 of 4 requests');
    expect(await env.cluster.image('compensated')).toBe(v1);
  });
});

describe('lines with ERROR', () => {
  const production = new TestCluster('production');
  /** When the pods were ready, as far as is known. */
  let since = '';

  /** What the check of the logs says of the revision of a Deployment that stands there now. */
  function look(name = 'wakala-api', { namespace } = production): Promise<string> {
    const target = { kind: 'deployment', namespace, name } as Partial<Target> as Target;
    const loaded = { settings: settingsSchema.parse(settings), file: '', folder: '' };
    const activities = verificationActivities(new Clusters(), loaded);
    const check = { service: name, check: 'logs' } as const;
    const change = { kind: 'deployment/template', target } as Partial<Change> as Change;
    const running: Promise<string> = new MockActivityEnvironment({}, { logger: silentLogger }).run(
      () => activities.runCheck(mandateFor(change), check),
    );
    return running.catch((error: Error) => error.message);
  }

  /** Requests of customers; three of ten fail where the version is bad. */
  async function traffic(): Promise<void> {
    await Promise.all(Array.from({ length: 20 }, () => fetch(wakala).then((a) => a.text())));
  }

  beforeAll(async () => {
    await production.release('wakala-api', v2);
    await eventually('only the new pods serve', async () => {
      const set = (await production.replicaSets('wakala-api')).get(v2)?.metadata?.name;
      const pods = await endpoints(production, 'wakala-api');
      return pods.length === 4 && pods.every((pod) => pod.startsWith(`${set}-`));
    });
    await traffic();
  });

  test('of the version that runs are counted over all of its pods', async () => {
    expect(await look()).toMatch(/^logs: 6 lines with ERROR in the last 1000 of 4 new pods/);
  });

  test('from before a pod was ready are not held against it', async () => {
    const names = await production.kubectl('get', 'pods', '-l', 'app=wakala-api', '-o', 'name');
    since = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toISOString();
    const ready = { type: 'Ready', status: 'True', lastTransitionTime: since };
    const patch = JSON.stringify({ status: { conditions: [ready] } });
    await Promise.all(
      names
        .split('\n')
        .map((name) => production.kubectl('patch', name, '--subresource=status', '-p', patch)),
    );

    expect(await look()).toMatch(/^logs: 0 lines with ERROR in the last 1000 of 4 new pods/);
  });

  test('of the version that is left are not held against the one that is restored', async () => {
    const broken = 'wakala/api:3.0.0-broken';
    await production.release('wakala-api', broken, false);
    await production.pods('wakala-api', broken);
    const hash = (await production.replicaSets('wakala-api')).get(v2)?.metadata?.labels;
    const left = `pod-template-hash=${hash?.['pod-template-hash']}`;
    await eventually('errors of the version that is left, since it was ready', async () => {
      await traffic();
      const logs = await production.kubectl('logs', '-l', left, `--since-time=${since}`);
      return logs.includes('ERROR');
    });

    expect(await look()).toMatch(/^logs: 0 lines with ERROR in the last 1000 of \d new pods/);
  });

  test('that cannot be looked for are not taken for none', async () => {
    await env.cluster.deploy('mute', v1, 1);
    expect(await look('mute', env.cluster)).toMatch(
      /^logs: cannot be read of pod mute-.*sidecar.* 1 attempt/,
    );
  });

  test('do not stop a rollback to a version that writes none, in real traffic', async () => {
    const result = await env.run({
      ...{ namespace: 'production', deployment: 'wakala-api', toRevision: 1 },
    });

    expect(result.message).toContain('back to revision 1');
    expect(result.outcome).toBe('rolled-back');
    const texts = result.steps.map(({ text }) => text ?? '');
    expect(texts).toContainEqual(
      `health: 0 of 20 requests to ${wakala}/health failed, at most 0 may`,
    );
    expect(texts).toContainEqual(expect.stringMatching(/^logs: 0 lines .* of 4 new pods/));
    const { stdout } = await execa('curl', ['-si', wakala]);
    expect(stdout).toContain('x-version: 1.0.0');
  });
});
