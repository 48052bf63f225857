import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { stringify } from 'yaml';
import type { RunStatus } from '../src/contract/run.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { ErrorRates } from './support/error-rates.ts';
import { eventually } from './support/eventually.ts';
import { exampleSettings, Gateway, served, setFlag, stored, systemAt } from './support/features.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [gateway, rates] = await Promise.all([Gateway.open(), ErrorRates.open()]);
const { caches } = exampleSettings();
const errorRate = { url: rates.url, field: 'error_rate' };
const features = {
  gateway: systemAt(gateway.url, { errorRate }),
  prometheus: systemAt(gateway.url, {
    errorRate: { prometheus: rates.url, query: 'errors{feature="{name}"}' },
  }),
  unmeasured: systemAt(gateway.url, { errorRate: undefined }),
  whole: systemAt(gateway.url, { errorRate, percentage: undefined }),
  ruled: systemAt(gateway.url, {
    source: { url: `${gateway.url}/admin/features/{name}`, percentage: 'rollout' },
  }),
};
const env = useRollbackEnvironment({ caches, features }, { procedure: 'reduce-feature' });
const cli = new CommandLine({ ROLLBACK_CONFIG: settingsFileWith(stringify({ caches, features })) });
afterAll(() => {
  gateway.close();
  rates.close();
});

let count = 0;
let feature = '';
/** The shares that were set, in order. */
let set: number[] = [];
beforeEach(async () => {
  feature = `gradual_${++count}`;
  set = [];
  rates.rate = 0.5;
  gateway.instead = async (request) => {
    if (request.method === 'PATCH') set.push((await stored(feature))?.rollout_percentage ?? -1);
    return undefined;
  };
  await setFlag(feature, { enabled: true, rollout_percentage: 100 });
});

const run = (more = {}) => env.run({ feature, system: 'gateway', watch: '50ms', ...more });
const share = async () => (await stored(feature))?.rollout_percentage;

/** Waits until a run watches a share for longer than a test may take. */
const untilWatching = (id: string) =>
  eventually('a share is watched', async () => {
    const status = await env.status(id);
    return status.pausedAt.length > 0 && status;
  });
const titles = ({ steps }: RunStatus) => steps.map(({ title }) => title);

describe('reducing a feature share by share', () => {
  test('goes on to zero for as long as the error rate is above the gate', async () => {
    const result = await run();

    expect(result.outcome).toBe('rolled-back');
    // What stood there before each change.
    expect(set).toEqual([100, 50, 25, 10, 5]);
    expect(await stored(feature)).toEqual({ enabled: true, rollout_percentage: 0 });
    expect((await served(feature))?.rollout_percentage).toBe(0);
    expect(titles(result).slice(0, 4)).toEqual([
      'Reduce it to 50 %',
      'Watch it at 50 %',
      'Measure the error rate at 50 %',
      'Reduce it to 25 %',
    ]);
    expect(result.steps[2]?.text).toBe('error rate 50 %, above the gate of 2 %');
    expect(titles(result).at(-1)).toBe('Reduce it to 0 %');
    expect(result.gaps).toEqual([]);
    expect((await run()).outcome).toBe('no-op');
  });

  test('stops where the error rate is at the gate, and says that the feature is still on', async () => {
    const id = await env.start({ feature, system: 'gateway', watch: '1s' });
    await eventually('it is reduced twice', async () => (await share()) === 25);
    rates.rate = 0.02;
    // That the metrics do not answer twice is no reason to go on without them.
    rates.away = 2;
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(await share()).toBe(25);
    expect((await served(feature))?.rollout_percentage).toBe(25);
    expect(result.gaps).toEqual([
      `Feature ${feature} is still on at 25 % (error rate 2 %, at or below the gate of 2 %): rollback feature ${feature} turns it off.`,
    ]);
  });

  test('without a measurement goes on reducing, and wakes somebody', async () => {
    rates.rate = undefined;
    const result = await run();
    expect(result.outcome).toBe('rolled-back');
    expect(await share()).toBe(0);
    expect(result.gaps).toEqual([
      expect.stringMatching(
        /^At 50, 25, 10, 5 % nothing told whether to go on: the error rate cannot be measured \(.* answers 503.*\)\.$/,
      ),
    ]);
    const told = env.told.filter(({ text }) => text.includes(feature));
    expect(told).toHaveLength(4);
    expect(told[0]).toMatchObject({ urgent: true, roles: ['on-call'] });
    expect(told[0]?.text).toMatch(
      /is on at 50 %, and the error rate cannot be measured .* answers 503.*It goes on to 25 %/,
    );
  });

  test('a field with a typing error is told beforehand, and is no quiet success', async () => {
    const result = await run({ errorRateField: 'eror_rate', percentages: [50, 0] });
    const why = 'the error rate cannot be measured (there is no number from 0 to 1 at eror_rate of';
    expect(result.plan?.warnings.join()).toMatch(
      /The error rate cannot be measured now \(there is no number from 0 to 1 at eror_rate of .*\): while that is so, nothing stops it before 0 %\./,
    );
    expect(result.gaps).toEqual([expect.stringContaining(`whether to go on: ${why}`)]);
    await setFlag(feature, { rollout_percentage: 100 });
    const right = await run({ dryRun: true });
    expect(right.plan?.warnings.join()).not.toContain('cannot be measured');
  });

  test('says beforehand where nothing could stop it', async () => {
    const { plan } = await run({ system: 'unmeasured', dryRun: true });
    expect(plan?.warnings.join()).toContain(
      'The settings have no features.unmeasured.errorRate, so nothing stops it before 0 %.',
    );
  });

  test('asks Prometheus where the settings say so', async () => {
    rates.rate = 0.001;
    const result = await run({ system: 'prometheus' });
    expect(result.gaps[0]).toContain('is still on at 50 % (error rate 0.1 %');
    rates.rate = undefined;
    const query = 'mine{flag="{name}"}';
    const input = { system: 'prometheus', percentages: [20, 10], errorRateQuery: query };
    const more = await run(input);
    expect(more.plan?.changes[0]?.after).toMatchObject({ errorRateQuery: query });
    const [settings, mine] = [`errors{feature="${feature}"}`, `mine{flag="${feature}"}`];
    // Each once for the plan, and once for the share.
    expect(rates.queries).toEqual([settings, settings, mine, mine]);
    expect(more.steps[2]?.text).toContain('there is no single number');
    expect(more.gaps[0]).toContain('is still on at 10 % (no lower share was asked for)');
  });

  test('that is on at 20 % leaves out what is above it, and never raises it', async () => {
    await setFlag(feature, { rollout_percentage: 20 });
    const result = await run({ errorRateField: 'a.b' });
    expect(result.plan?.differences[1]).toBe('error rate: a.b');
    expect(result.plan?.differences[0]).toBe(`${feature}: on at 20 % -> 10 % -> 5 % -> 0 %`);
    expect(set).toEqual([20, 10, 5]);
  });

  test('that somebody reduces further meanwhile stays as low as that', async () => {
    const id = await env.start({ feature, system: 'gateway', watch: '4s', percentages: [50, 25] });
    await untilWatching(id);
    await setFlag(feature, { rollout_percentage: 3 });
    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(await share()).toBe(3);
    expect(set).toEqual([100]);
    expect(result.gaps.join()).toContain('is still on at 3 % (no lower share was asked for)');
  });

  test('that somebody turns off meanwhile ends there, and waits for nothing more', async () => {
    const more = { watch: '3s', percentages: [50, 25, 10] };
    const id = await env.start({ feature, system: 'gateway', ...more });
    await untilWatching(id);
    await setFlag(feature, { enabled: false });
    const { outcome, steps, gaps } = await env.result(id);
    expect(outcome).toBe('rolled-back');
    expect(steps.at(-1)?.title).toBe('Reduce it to 25 %');
    expect(steps.at(-1)?.text).toContain('is off already, which somebody else has seen to');
    expect(gaps).toEqual([]);
    expect(set).toEqual([100]);
  });

  test('that somebody raises meanwhile is left to them, and the run pauses', async () => {
    const id = await env.start({ feature, system: 'gateway', watch: '4s', percentages: [50, 25] });
    await untilWatching(id);
    // Where it stood before, and so a share that the plan knows.
    await setFlag(feature, { rollout_percentage: 100 });
    const paused = await eventually('it is paused', async () => {
      const status = await env.status(id);
      return status.phase === 'paused' && status;
    });
    expect(paused.message).toContain('it is on for all');
    expect(await share()).toBe(100);
    const [{ step, attempt } = {}] = paused.pausedAt;
    const stay = await env.token(id, 'skip', 'on-call', { step, attempt, stays: true });
    const stayed = await env.send(id, { decision: 'skip', token: stay, step, attempt });
    expect(stayed.text).toContain('Nothing is watched here');
    await env.decideStep(paused, 'skip');
    const { gaps } = await env.result(id);
    expect(gaps.join()).toContain('Reduce it to 25 % was left out');
    expect(gaps.join()).toContain(`Feature ${feature} is still on for all`);
  });

  test.each([
    ['where shares cannot be changed', { system: 'whole' }, /rollback feature gradual_\d+/],
    [
      'where no share tells who has it',
      { system: 'ruled' },
      /no percentage rollout .*at rollout\): turn it off at once with rollback feature gradual_\d+/,
    ],
    ['with a query where a field is measured', { errorRateQuery: 'x' }, /errorRate\.prometheus/],
  ])('is refused %s', async (_, input, words) => {
    const result = await run(input);
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
  });

  test.each([
    [{ percentages: [50, 50] }, 'Field "percentages" must go down from each to the next'],
    [{ percentages: [] }, 'Field "percentages" is empty'],
    [{ gate: 2 }, 'Field "gate" must be 1 or less'],
    [{ watch: 'long' }, 'Field "watch" is not a duration'],
  ])('takes no %j', async (wrong, words) => {
    const failure = await env.failure({ feature, ...wrong });
    expect(failure.message).toContain(words);
  });
});

describe('while a share is watched', () => {
  const long = { watch: '1h' };

  test('somebody on call may hurry it to zero at once', async () => {
    const id = await env.start({ feature, system: 'gateway', percentages: [50, 25], ...long });
    const watching = await untilWatching(id);
    expect(watching.plan?.warnings.join()).toContain('rollback skip hurries it to 0 % at once');
    expect(watching.phase).toBe('executing');
    expect(watching.pausedAt[0]).toMatchObject({
      ...{ step: 'Watch it at 50 %', attempt: 1, allowed: ['skip', 'abort'] },
      until: expect.any(String),
    });
    expect((await env.decideStep(watching, 'skip', 'cto')).counted).toBe(false);
    expect((await env.decideStep(watching, 'retry')).counted).toBe(false);

    expect((await env.decideStep(watching, 'skip')).counted).toBe(true);
    const result = await env.result(id);

    expect(result.outcome).toBe('rolled-back');
    expect(titles(result)).toEqual(['Reduce it to 50 %', 'Watch it at 50 %', 'Reduce it to 0 %']);
    expect(result.steps[1]).toMatchObject({ state: 'skipped', text: 'cut short by on-call' });
    expect(set).toEqual([100, 50]);
    expect(result.pausedAt).toEqual([]);
  });

  test('somebody on call may abort it, which puts the feature back as it was', async () => {
    await setFlag(feature, { rollout_percentage: 60 });
    const id = await env.start({ feature, system: 'gateway', percentages: [50, 0], ...long });
    const result = await env.abort(await untilWatching(id));
    expect(result.outcome).toBe('aborted');
    expect(await stored(feature)).toEqual({ enabled: true, rollout_percentage: 60 });
    expect((await served(feature))?.rollout_percentage).toBe(60);
  });

  test('whoever cancels it leaves the feature where it is', async () => {
    const id = await env.start({ feature, system: 'gateway', ...long });
    await untilWatching(id);
    await env.client.workflow.getHandle(id).cancel();
    const result = await env.result(id);
    expect(result.outcome).toBe('failed');
    expect(result.next.join()).toContain('the feature is on at 50 %');
    expect(await share()).toBe(50);
  });

  test('a worker that is away costs nothing but its time', async () => {
    const id = await env.start({ feature, system: 'gateway', watch: '2s', percentages: [50, 0] });
    await untilWatching(id);
    await env.stopWorker();
    await env.startWorker();
    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(set).toEqual([100, 50]);
  });

  test('an abort counts that came in time, also where no worker was there to hear it', async () => {
    await setFlag(feature, { rollout_percentage: 60 });
    const id = await env.start({ feature, system: 'gateway', watch: '4s', percentages: [50, 0] });
    const watching = await untilWatching(id);
    const [{ step, attempt, until = '' } = {}] = watching.pausedAt;
    const token = await env.token(id, 'abort', 'on-call', { step, attempt });
    await env.stopWorker();
    await env.client.workflow.getHandle(id).signal('abort', { token, step, attempt });
    expect(Date.now()).toBeLessThan(Date.parse(until));
    await eventually('the watch is over', () =>
      Promise.resolve(Date.now() > Date.parse(until) + 500),
    );
    await env.startWorker();

    const result = await env.result(id);

    expect(result.outcome).toBe('aborted');
    expect(result.authority?.decisions).toMatchObject([{ decision: 'abort', counted: true }]);
    expect(await stored(feature)).toEqual({ enabled: true, rollout_percentage: 60 });
  });

  test('the CLI shows until when, and how to decide', async () => {
    const id = await env.start({ feature, system: 'gateway', ...long });
    const watching = await untilWatching(id);
    const there = cli.with({
      TEMPORAL_ADDRESS: env.temporal.address,
      TEMPORAL_NAMESPACE: 'default',
    });
    const { stdout } = await there.run('status', id);
    expect(stdout).toContain(
      `"Watch it at 50 %" goes on by itself at ${watching.pausedAt[0]?.until}; before that: rollback skip ${id}, rollback skip --stay ${id}, rollback abort ${id}`,
    );
    const stopped = await there.run('skip', id, '--stay', '--yes', '--unchecked');
    expect([stopped.exitCode, stopped.stderr]).toEqual([0, '']);
    expect(stopped.stdout).toContain('All is left as it stands.');
    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(result.gaps.join()).toContain('is still on at 50 % (stopped by on-call)');
    expect(await share()).toBe(50);
  });
});

describe('from the command line', () => {
  test('--gradual makes it gradual, and its flags need it', async () => {
    const plan = ['plan', 'feature', feature, '--system', 'gateway', '--json'];
    const gradual = await cli.run(...plan, '--gradual', '--percentages', '30,0', '--gate', '0.05');
    expect(JSON.parse(gradual.stdout)).toMatchObject({
      procedure: 'reduce-feature',
      changes: [{ after: { percentages: '30,0', gate: 0.05, watch: '2m' } }, {}],
    });
    const atOnce = await cli.run(...plan);
    expect(JSON.parse(atOnce.stdout)).toMatchObject({ procedure: 'feature' });
    const wrong = await cli.run(...plan, '--watch', '1m');
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, '--watch needs --gradual.']);
    const help = await cli.run('feature', '--help');
    expect(help.stdout).toMatch(/--gradual .*share by share/);
    expect(help.stdout).toMatch(/--percentages <numbers>[^]*50,25,10,5,0/);
  });

  test('its plan as commands stops at the gate, and goes on from there when run again', async () => {
    rates.rate = 0.001;
    const args = [
      'plan',
      'feature',
      feature,
      '--system',
      'gateway',
      '--gradual',
      '--watch',
      '50ms',
    ];
    const { stdout } = await cli.run(...args, '--percentages', '50,20,0', '--commands');
    expect(stdout).not.toContain(process.env.WAKALA_ADMIN_TOKEN);

    const first = await execa('sh', { input: stdout });
    expect(first.stdout).toContain(`feature ${feature} is still on at 50 %`);
    expect(await share()).toBe(50);
    rates.rate = undefined;
    await execa('sh', { input: stdout });

    expect(await share()).toBe(0);
    expect(set).toEqual([100, 50, 20]);
    expect((await served(feature))?.rollout_percentage).toBe(0);
  });
});
