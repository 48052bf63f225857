import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { mkdtempSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import { verificationActivities } from '../src/activities/verification/index.ts';
import { settingsSchema } from '../src/config/schema.ts';
import type { Change, PlannedCheck } from '../src/contract/plan.ts';
import { mandateFor } from './support/mandates.ts';
import { eventually } from './support/eventually.ts';
import { HealthServer } from './support/health-server.ts';
import { silentLogger } from './support/silent-logger.ts';

const folder = mkdtempSync(join(tmpdir(), 'rollback-checks-'));
const server = new HealthServer();
beforeAll(() => server.start());
afterEach(() => {
  server.asked = 0;
  server.answer = () => 200;
});
afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true });
});

const mockActivity = () => new MockActivityEnvironment({}, { logger: silentLogger });
const soon = { retries: 0, every: '20ms' };
/** No check but that of the logs looks at what was changed. */
const nothing = { target: {} } as Partial<Change> as Change;

/** Runs a check as a worker with this setting would: its words, or how it failed. */
function run(
  check: PlannedCheck['check'],
  setting: object,
  mock = mockActivity(),
): Promise<string> {
  const checks = { [check]: { ...soon, ...setting } };
  const settings = settingsSchema.parse({ services: { api: { deployment: 'api', checks } } });
  const activities = verificationActivities(new Clusters(), { settings, file: '', folder });
  return mock.run(() => activities.runCheck(mandateFor(nothing), { service: 'api', check }));
}

/** The sentence of a check that stays red, for which trying again later is no use. */
async function red(check: PlannedCheck['check'], setting: object): Promise<string> {
  const error: unknown = await run(check, setting).catch((reason: unknown) => reason);
  if (!(error instanceof ApplicationFailure)) throw error;
  expect(error).toMatchObject({ type: 'CheckFailed', nonRetryable: true });
  return error.message;
}

describe('health', () => {
  const health = (setting: object = {}) => ({ url: server.url, requests: 10, ...setting });

  test('is green where every request is answered well', async () => {
    expect(await run('health', health())).toBe(
      `health: 0 of 10 requests to ${server.url} failed, at most 0 may`,
    );
    expect(server.asked).toBe(10);
  });

  test('finds a version that fails three of ten, which one request would miss', async () => {
    server.answer = (count) => (count % 10 < 3 ? 500 : 200);
    expect(await red('health', health())).toBe(
      `health: 3 of 10 requests to ${server.url} failed (HTTP 500), at most 0 may; 1 attempt.`,
    );
  });

  test('allows as many failures as the settings do, and not one more', async () => {
    server.answer = (count) => (count % 10 < 3 ? 503 : 200);
    expect(await run('health', health({ maxFailed: 3 }))).toContain('3 of 10 requests');
    server.asked = 0;
    expect(await red('health', health({ maxFailed: 2 }))).toContain('at most 2 may');
  });

  test('takes an answer that does not come in time for a failure', async () => {
    server.answer = (count) => (count === 0 ? 'never' : 200);
    const told = await red('health', health({ timeout: '1s' }));
    expect(told).toContain('1 of 10');
    expect(told).toContain('(no answer in 1000 ms)');
  });

  test('tells an address where nobody listens', async () => {
    const url = 'http://127.0.0.1:1/health';
    expect(await red('health', { url, requests: 2 })).toMatch(
      /^health: 2 of 2 requests to .* failed \((ECONNREFUSED|bad port|TypeError)\)/,
    );
  });

  test('is tried again until it gets green, as a service needs a moment to warm up', async () => {
    server.answer = (count) => (count < 20 ? 503 : 200);
    expect(await run('health', health({ retries: 5 }))).toContain('0 of 10');
    expect(server.asked).toBe(30);
  });

  test('is tried no more often, and no longer, than the settings say', async () => {
    server.answer = () => 503;
    expect(await red('health', health({ retries: 2 }))).toContain('; 3 attempts.');
    expect(server.asked).toBe(30);
    const limited = health({ retries: 100, every: '40ms', limit: '100ms' });
    expect(await red('health', limited)).toMatch(/; [123] attempts?\.$/);
  });
});

describe('the smoke command', () => {
  const sh = (script: string, setting: object = {}) => ({
    command: ['sh', '-c', script],
    ...setting,
  });

  test('is green where it ends with 0, and starts in the folder of the settings', async () => {
    expect(await run('smoke', sh('pwd > where'))).toBe('smoke: sh passed');
    expect(readFileSync(join(folder, 'where'), 'utf8').trim()).toBe(folder);
  });

  test('tells the last line of what it said, which is why it failed', async () => {
    const told = await red('smoke', sh('echo one; echo "no such table: orders" >&2; exit 3'));
    expect(told).toContain('exit code 3');
    expect(told).toContain('(no such table: orders); 1 attempt.');
    expect(told).not.toContain('\n');
  });

  test('gets its arguments as they are, never through a shell', async () => {
    expect(
      await red('smoke', { command: ['sh', '-c', 'exit $#', 'sh', '$(touch hacked)', '; true'] }),
    ).toContain('exit code 2');
    expect(existsSync(join(folder, 'hacked'))).toBe(false);
  });

  test('is ended when its time is over, with what it started', async () => {
    const began = Date.now();
    const told = await red('smoke', sh('echo begun; sleep 9; true', { timeout: '200ms' }));
    expect(told).toMatch(/timed out after 200 m.*\(begun\)/);
    expect(Date.now() - began).toBeLessThan(5000);
  });

  test('that is not there is told by its name', async () => {
    const told = await red('smoke', { command: ['./no-such-smoke-test'] });
    expect(told).toMatch(
      /^smoke: there is no \/\S+\/no-such-smoke-test on the worker's machine.*checks.smoke.command/,
    );
  });

  test('is killed where the run is cancelled', async () => {
    const mock = mockActivity();
    const file = join(folder, 'pid');
    const running = run('smoke', sh('echo $$ > pid; exec sleep 30'), mock);
    const pid = await eventually('the command runs', () =>
      Promise.resolve(existsSync(file) && (Number(readFileSync(file, 'utf8')) || false)),
    );

    mock.cancel();

    await expect(running).rejects.toThrow();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

test('a check that the settings have lost since the plan is red, not forgotten', async () => {
  const settings = settingsSchema.parse({ services: { api: { deployment: 'api' } } });
  const activities = verificationActivities(new Clusters(), { settings, file: '', folder });
  const check = { service: 'api', check: 'health' } as const;
  await expect(
    mockActivity().run(() => activities.runCheck(mandateFor(nothing), check)),
  ).rejects.toThrow('no longer have the check health of service api');
});
