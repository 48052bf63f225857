import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import type { RunResult } from '../src/contract/run.ts';
import { makeColours, standing, untilServed, v1, watchFewest } from './support/colours.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { colourManifest, serviceManifest } from '../sandbox/kubernetes/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { makeServiceAccounts, removeClusterRoles, takeAway } from './support/service-accounts.ts';

const red = { health: { url: 'http://127.0.0.1:1/health', retries: 0 } };
const services = {
  red: { service: 'red', checks: red },
  safe: { service: 'safe', checks: red },
  worse: { service: 'worse', checks: red },
  allowed: { service: 'allowed', checks: { logs: { selector: 'app=allowed' } } },
};
const env = useRollbackEnvironment({ services }, { procedure: 'blue-green' });
const cluster = () => env.cluster;
const accounts = {
  allowed: undefined,
  taken: undefined,
  'no-delete': { kind: 'Role', verb: 'delete', resource: 'deployments' },
  'no-switch': { kind: 'Role', verb: 'patch', resource: 'services' },
} as const;
const admin = process.env.KUBECONFIG;

beforeAll(async () => {
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, accounts);
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(accounts));
  process.env.KUBECONFIG = admin;
});

const shown = ({ steps }: Pick<RunResult, 'steps'>) =>
  steps.map(({ title, state }) => `${title}: ${state}`);

describe('the traffic stays where it is', () => {
  test.concurrent('while the other colour is not ready, and its pod says why', async () => {
    await makeColours(cluster(), 'crash', { blue: { image: 'wakala/api:crash', replicas: 0 } });
    const watch = await watchFewest(cluster(), 'crash');

    const paused = await env.runUntilPaused({ service: 'crash' });

    expect(paused.message).toMatch(/crash-blue .*does not come up.*CrashLoopBackOff/);
    expect(await standing(cluster(), 'crash')).toMatchObject({ version: 'green', blue: 2 });
    // Somebody who leaves that step out still does not send traffic to nobody.
    expect((await env.decideStep(paused, 'skip')).counted).toBe(true);
    const again = await eventually('the switch is paused', async () => {
      const now = await env.status(paused.workflowId);
      return now.pausedAt[0]?.step === 'Switch the Service' && now;
    });
    expect(again.message).toContain('no pod with app=crash,version=blue is ready');
    // Nor does a run end as rolled back whose traffic was never switched.
    expect((await env.decideStep(again, 'skip')).text).toBe(
      'Here it is retry or abort: a run without this step would be none.',
    );

    const result = await env.abort(again);

    expect(result.outcome).toBe('aborted');
    expect(await standing(cluster(), 'crash')).toMatchObject({
      ...{ version: 'green', blue: 0, green: 2 },
    });
    expect(await watch.stop()).toBe(2);
  });

  test.concurrent('where quota has no room for the other colour', async () => {
    const own = await env.anotherNamespace();
    await makeColours(own, 'full', { blue: { replicas: 0 } });
    await own.limit('pods', 'pods=3');

    const { namespace } = own;
    const paused = await env.runUntilPaused({ service: 'full', namespace });

    expect(paused.message).toMatch(/1 of 2 replicas.*exceeded quota/);
    await own.kubectl('delete', 'quota', 'pods');
    expect((await env.decideStep(paused, 'retry')).counted).toBe(true);
    expect((await env.result(paused.workflowId)).outcome).toBe('rolled-back');
    expect(await standing(own, 'full')).toMatchObject({ version: 'blue', blue: 2, green: 0 });
  });

  test.concurrent('where somebody else has switched it after the plan', async () => {
    await makeColours(cluster(), 'stale');
    await cluster().apply([colourManifest('stale', 'red', 'wakala/api:3.0.0')]);
    await cluster().rollout('stale-red');
    const patch = JSON.stringify({ spec: { selector: { version: 'red' } } });

    const id = await env.startInterrupted(
      { service: 'stale', to: 'blue' },
      () => cluster().kubectl('patch', 'service', 'stale', '-p', patch),
      cluster(),
      'service/stale',
    );
    const waiting = await env.untilWaiting(id);

    expect(waiting.plannedAgain).toContain('it selects app=stale,version=red');
    expect(waiting.plan?.summary).toContain('goes from version=red');
    expect(await standing(cluster(), 'stale')).toMatchObject({ version: 'red', green: 2 });
    await env.decide(id, 'reject', 'on-call');
    expect((await env.result(id)).outcome).toBe('rejected');
  });

  test.concurrent.each<[string, string, RegExp]>([
    ['a Service that is not there', 'absent', /There is no Service absent in namespace/],
    ['a Service without colours', 'plain', /app=plain, which has no label version.*--label/],
    ['a Service without a selector', 'bare', /has no selector/],
    ['no other colour', 'lonely', /no Deployment's pods carry.*in place of version=green/],
    ['several others', 'many', /blue \(many-blue\) or red \(many-red\): say which with --to/],
    ['two Deployments of that colour', 'double', /several Deployments \(double-blue, double-two\)/],
  ])('for %s, in one sentence', async (_, service, words) => {
    await worlds[service]?.();
    const result = await env.run({ service });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
  });

  test.concurrent('for an input that cannot be meant', async () => {
    const failure = await env.failure({ service: 'web', to: 'no colour', soak: '1m' });
    expect(failure.type).toBe('InvalidInput');
    expect(failure.message).toContain('Field "to" is not the value of a Kubernetes label');
    const late = await env.failure({ service: 'web', soak: '3d' });
    expect(late.message).toContain('Field "soak" is longer than a day');
  });
});

const worlds: Record<string, () => Promise<unknown>> = {
  plain: () => cluster().apply([serviceManifest('plain', { app: 'plain' })]),
  bare: () => cluster().kubectl('create', 'service', 'externalname', 'bare', '--external-name=a.b'),
  lonely: () => cluster().apply([serviceManifest('lonely', { app: 'lonely', version: 'green' })]),
  many: () =>
    cluster().apply([
      ...['blue', 'red'].map((colour) => colourManifest('many', colour, v1, { replicas: 0 })),
      serviceManifest('many', { app: 'many', version: 'green' }),
    ]),
  double: () => {
    const blue = colourManifest('double', 'blue', v1, { replicas: 0 });
    return cluster().apply([
      ...[blue, { ...blue, metadata: { name: 'double-two' } }],
      serviceManifest('double', { app: 'double', version: 'green' }),
    ]);
  },
};

describe('a red check', () => {
  test.concurrent(
    'keeps the pods that were left, and abort goes back to exactly them',
    async () => {
      await makeColours(cluster(), 'red', { blue: { replicas: 0 } });
      const before = await standing(cluster(), 'red');
      const watch = await watchFewest(cluster(), 'red');
      const paused = await env.runUntilPaused({ service: 'red' });
      expect(shown(paused as RunResult).at(-1)).toBe('Check health: paused');
      expect(await standing(cluster(), 'red')).toMatchObject({ version: 'blue', green: 2 });

      const result = await env.abort(paused);

      expect(result.outcome).toBe('aborted');
      expect(await standing(cluster(), 'red')).toEqual(before);
      expect(await watch.stop()).toBe(2);
      // Nothing says any more that a rollback stands.
      expect((await env.run({ service: 'red', dryRun: true })).outcome).toBe('dry-run');
    },
  );

  test.concurrent('does not send the traffic back by itself while the new pods serve', async () => {
    await makeColours(cluster(), 'safe');
    const paused = await env.runUntilPaused({ service: 'safe', onFailure: 'compensate' });
    expect(paused.message).toContain('Check health');
    expect(await standing(cluster(), 'safe')).toMatchObject({ version: 'blue', green: 2 });
    await env.abort(paused);
  });

  test.concurrent('cannot be answered by sending traffic to pods that do not serve', async () => {
    await makeColours(cluster(), 'worse');
    const paused = await env.runUntilPaused({ service: 'worse' });
    await cluster().kubectl('scale', 'deployment/worse-green', '--replicas=0');
    await eventually('green serves nobody', async () => {
      const { status } = await cluster().deployment('worse-green');
      return !status?.readyReplicas;
    });

    await env.decideStep(paused, 'abort');
    const stuck = await eventually('the way back is paused', async () => {
      const now = await env.status(paused.workflowId);
      return now.pausedAt[0]?.step === 'Undo: Switch the Service' && now;
    });

    expect(stuck.message).toContain('its traffic would go nowhere');
    expect(await standing(cluster(), 'worse')).toMatchObject({ version: 'blue' });
    await env.decideStep(stuck, 'skip');
    const result = await env.result(paused.workflowId);
    expect(result.outcome).toBe('failed');
    expect(result.next.join('\n')).toContain('kubernetes.io/service-name=worse');
  });
});

describe('with the role in deploy/', () => {
  test.concurrent('all of it can be done', async () => {
    await makeColours(cluster(), 'allowed', { blue: { replicas: 0 } });
    const result = await env.run({ service: 'allowed', context: 'allowed', delete: true });
    expect(result.message).toContain('goes from version=green');
    expect(shown(result)).toEqual([
      'Bring Deployment allowed-blue up: done',
      'Switch the Service: done',
      'Check logs: done',
      'Scale Deployment allowed-green to zero: done',
      'Delete Deployment allowed-green: done',
    ]);
  });

  test.concurrent('but for patch services nothing is switched, and the role is named', async () => {
    await makeColours(cluster(), 'forbidden');
    const before = await standing(cluster(), 'forbidden');
    const result = await env.run({ service: 'forbidden', context: 'no-switch' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(/may not patch services in namespace.*kubernetes-role\.yaml/);
    expect(await standing(cluster(), 'forbidden')).toEqual(before);
  });

  test.concurrent('but for delete deployments one is told to go without', async () => {
    await makeColours(cluster(), 'undeleted');
    const input = { service: 'undeleted', context: 'no-delete' };
    const result = await env.run({ ...input, delete: true });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(/may not delete deployments in .*no --delete/);
    expect((await env.run(input)).outcome).toBe('rolled-back');
  });

  test.concurrent('without a right that was taken away after the plan it goes back', async () => {
    await makeColours(cluster(), 'kept');
    const before = await standing(cluster(), 'kept');
    const watch = await watchFewest(cluster(), 'kept');
    const id = await env.startInterrupted(
      { service: 'kept', context: 'taken', delete: true },
      () => takeAway(cluster(), 'taken', accounts['no-delete']),
      cluster(),
      'service/kept',
    );
    const paused = await env.untilPaused(id);
    expect(paused.message).toMatch(
      /403.*cannot delete resource "deployments".*deploy\/kubernetes-role\.yaml/,
    );
    expect(await standing(cluster(), 'kept')).toMatchObject({ version: 'blue', green: 0 });

    expect((await env.abort(paused)).outcome).toBe('aborted');

    expect(await standing(cluster(), 'kept')).toEqual(before);
    expect(await watch.stop()).toBe(2);
  });
});

test.concurrent('the plan as commands switches once, however often they are run', async () => {
  await makeColours(cluster(), 'by-hand', { blue: { replicas: 0 } });
  await untilServed(cluster(), 'by-hand', 'green', 2);
  const stdout = await commandsOf('by-hand', '--delete');
  const watch = await watchFewest(cluster(), 'by-hand');

  await execa('sh', { input: stdout });
  await untilServed(cluster(), 'by-hand', 'blue', 2);
  await execa('sh', { input: stdout });

  expect(await watch.stop()).toBe(2);
  const names = await cluster().kubectl('get', 'deployments', '-o', 'name');
  expect(names).toContain('by-hand-blue');
  expect(names).not.toContain('by-hand-green');
});

test.concurrent(
  'the commands take no pods away from a colour that has got its traffic back',
  async () => {
    await makeColours(cluster(), 'returned');
    const commands = await commandsOf('returned', '--soak', '1m', '--delete');
    const back = `kubectl -n ${cluster().namespace} set selector service/returned app=returned,version=green`;
    expect(commands).toContain('\nsleep 60\n');

    const during = await execa('sh', {
      input: commands.replace('\nsleep 60\n', `\n${back}\n`),
      reject: false,
    });

    expect(during.exitCode).toBe(1);
    const why =
      'Service returned does not send its traffic to app=returned,version=blue any more: Deployment returned-green stays as it is.';
    expect(during.stderr).toContain(why);
    expect(await standing(cluster(), 'returned')).toMatchObject({ version: 'green', green: 2 });

    await execa('sh', { input: await commandsOf('returned') });
    const deletion = await commandsOf('returned', '--delete');
    const late = await execa('sh', { input: `${back}\n${deletion}`, reject: false });

    expect(late.exitCode).toBe(1);
    expect(late.stderr).toContain(why);
    expect(await standing(cluster(), 'returned')).toMatchObject({ version: 'green', green: 0 });
  },
);

test.concurrent('the commands note what they did for whoever plans anew', async () => {
  await makeColours(cluster(), 'noted');
  // As one that was made by kubectl create: without any annotation.
  const recorded = 'kubectl.kubernetes.io/last-applied-configuration';
  await cluster().kubectl('annotate', 'service', 'noted', `${recorded}-`);
  await execa('sh', { input: await commandsOf('noted') });
  expect(await standing(cluster(), 'noted')).toMatchObject({ version: 'blue' });

  const anew = await commandsOf('noted');
  await execa('sh', { input: anew });
  expect(anew).toMatch(/the commands of rollback plan switched it from app=noted,version=green at/);
  expect((await env.run({ service: 'noted' })).outcome).toBe('no-op');
  expect(await standing(cluster(), 'noted')).toMatchObject({ version: 'blue', blue: 2, green: 0 });

  await execa('sh', { input: await commandsOf('noted', '--to', 'green') });
  expect((await env.run({ service: 'noted' })).outcome).toBe('no-op');
  expect(await standing(cluster(), 'noted')).toMatchObject({ version: 'green', green: 2 });
});

test.concurrent('the commands change nothing where something else was noted since', async () => {
  await makeColours(cluster(), 'since');
  const commands = await commandsOf('since');
  await cluster().kubectl('annotate', 'service', 'since', 'rollback-workflows/switched={}');

  const { exitCode, stderr } = await execa('sh', { input: commands, reject: false });

  expect(exitCode).toBe(1);
  expect(stderr).toContain('Service since was changed since the commands were made: ask for them');
  expect(await standing(cluster(), 'since')).toMatchObject({ version: 'green', green: 2 });
});

/** What the CLI prints for who has no Temporal. */
async function commandsOf(service: string, ...flags: string[]): Promise<string> {
  const kubernetes = { namespace: cluster().namespace };
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(JSON.stringify({ kubernetes })),
  });
  return (await cli.run('plan', 'blue-green', service, ...flags, '--commands')).stdout;
}
