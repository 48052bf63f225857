import { beforeAll, describe, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import {
  strategyAnnotation,
  surgeStrategy,
} from '../src/activities/kubernetes/deployment/annotations.ts';
import { CommandLine, type Ended, nowhere, settingsFileWith } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { writeSettings } from './support/settings.ts';

const env = useRollbackEnvironment();
const month = proto.google.protobuf.Duration.fromObject({ seconds: 30 * 86_400 });
let cli: CommandLine;

beforeAll(() => {
  cli = new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: writeSettings({ kubernetes: { namespace: env.cluster.namespace } }),
  });
});

function expectUsage({ exitCode, stdout, stderr }: Ended, words: string): void {
  expect(stderr).toContain(words);
  expect(stderr.split('\n')).toHaveLength(1);
  expect(stdout).toBe('');
  expect(exitCode).toBe(2);
}

describe('wrong use starts nothing, and is told in one line:', () => {
  test.concurrent.each<[string, string[], string]>([
    ['no name', [], 'Field "deployment" (NAME) is missing'],
    ['an empty name', [''], 'Field "deployment" (NAME) is empty'],
    ['a name with a slash', ['team/api'], 'Field "deployment" (NAME) is not a Kubernetes name'],
    ['a name with a line break', ['api\nrm'], 'Field "deployment" (NAME) is not a Kubernetes name'],
    [
      'a revision below 1',
      ['api', '--to-revision', '-1'],
      'Field "toRevision" (--to-revision) must be 1 or more',
    ],
    ['a revision in words', ['api', '--to-revision', 'two'], 'It must be a whole number.'],
    ['a pace that there is not', ['api', '--pace', 'fast'], 'Allowed choices are auto, steady.'],
    ['a wait without a unit', ['api', '--wait', '5'], 'Field "wait" (--wait) is not a duration'],
    [
      'a reason of two lines',
      ['api', '--reason', 'a\nb'],
      'Field "reason" (--reason) has line breaks',
    ],
    ['an input file that is not there', ['--input', '/no/such'], 'cannot be read: ENOENT'],
  ])('%s', async (_, args, words) => {
    expectUsage(await cli.run('deployment', ...args), words);
  });

  test.concurrent.each<[string, string[], string]>([
    ['no version', ['schema'], 'Field "to" (--to) is missing: schema needs it.'],
    ['no services', ['services', 'Api'], 'Field "services.0" (NAME...) is not a Kubernetes name'],
    [
      'a list of numbers with a word in it',
      ['feature', 'f', '--gradual', '--percentages', '50,abc'],
      'Its item "abc" is no whole number: give whole numbers with commas between them, such as 50,10,0.',
    ],
  ])('%s for other procedures', async (_, args, words) => {
    expectUsage(await cli.run(...args), words);
  });

  test.concurrent.each([
    ['an unknown field', '{"deployment": "api", "revision": 3}', 'Unknown field "revision"'],
    ['a field of a wrong type', '{"deployment": "api", "toRevision": "3"}', 'Field "toRevision"'],
    ['a list', '[{"deployment": "api"}]', 'The input - must be one JSON object.'],
    ['null', 'null', 'The input - must be one JSON object.'],
    ['no JSON', 'deployment: api', 'The input - is not JSON.'],
    ['nothing', '', 'The input - is not JSON.'],
  ])('%s on standard input', async (_, input, words) => {
    expectUsage(await cli.runWith(input, 'deployment', '--input', '-'), words);
  });

  test.concurrent('a history of what has none, with the kinds that have one', async () => {
    expectUsage(await cli.run('history', 'application/api'), 'statefulset/NAME, helm/RELEASE');
  });

  test.concurrent.each([['report'], ['plan', 'report']])(
    'help about a command that there is not: %s %s',
    async (...args) => {
      const { exitCode, stdout, stderr } = await cli.run(...args, '--help');
      expect(exitCode).toBe(2);
      expect(stderr).toContain("unknown command 'report'");
      expect(stdout).toBe('');
    },
  );

  test.concurrent.each([
    ['status', ['status', '']],
    ['approve', ['approve', ' ']],
    ['a start', ['deployment', 'api', '--id', '']],
  ])('an empty id of a run: %s', async (_, args) => {
    expectUsage(await cli.run(...args), 'is invalid');
  });

  test.concurrent('a flag that there is not, with the one that may be meant', async () => {
    const { exitCode, stderr } = await cli.run('deployment', 'api', '--revision', '3');
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/unknown option '--revision'.*\n.*--to-revision/);
  });

  test('and no run is there after all of them', async () => {
    expect(await cli.json('list')).toEqual([[]]);
    expect((await cli.run('list')).stdout).toMatch(/^There are no runs; .*may be missing\.$/);
  });

  test.concurrent.each(['0', '-3', 'many'])('a list of at most %s runs', async (limit) => {
    expectUsage(await cli.run('list', '--limit', limit), "option '--limit <number>'");
  });
});

describe('when Temporal is down', () => {
  test.concurrent.each([
    ['a start', ['deployment', 'api']],
    ['a look', ['status', 'some-run']],
    ['a list', ['list']],
  ])('%s says so within seconds, and how to roll back without it', async (_, args) => {
    const began = Date.now();

    const { exitCode, stderr } = await cli.with({ TEMPORAL_ADDRESS: nowhere }).run(...args);

    expect(exitCode).toBe(5);
    expect(stderr).toContain(`Temporal at ${nowhere} does not answer`);
    expect(stderr).toContain('rollback plan deployment NAME --commands (docs/last-resort.md)');
    expect(Date.now() - began).toBeLessThan(20_000);
  });
});

test.concurrent('an open run without a worker is told as waiting for one', async () => {
  const alone = await namespaceWithoutWorker('waiting');
  const started = await alone.run('deployment', 'api', '--id', 'waits', '--detach');
  expect(started).toMatchObject({ exitCode: 0, stdout: 'waits' });

  const { exitCode, stderr } = await alone.run('status', 'waits');

  expect(stderr).toContain(
    'no worker answers for it: start one with npm run worker, or see docs/last-resort.md',
  );
  expect(exitCode).toBe(5);
});

describe('rollback doctor', () => {
  const line = (mark: '✓' | '✗', what: string, words: string) =>
    expect.stringMatching(new RegExp(`^${mark} ${what} .*${words}`, 'm'));

  test('is content where everything is there, and finds runs that are forgotten too soon', async () => {
    const before = await cli.run('doctor');
    expect(before.exitCode).toBe(1);
    expect(before.stdout).toEqual(
      line('✗', 'temporal', 'update --namespace default --retention 720h'),
    );

    await env.client.workflowService.updateNamespace({
      namespace: 'default',
      config: { workflowExecutionRetentionTtl: month },
    });

    const { exitCode, stdout } = await eventually('the retention counts', async () => {
      const ended = await cli.run('doctor');
      return ended.exitCode === 0 && ended;
    });
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain('✗');
    expect(stdout).toEqual(line('✓', 'worker', '@'));
    expect(stdout).toEqual(line('✓', 'permissions', `namespace ${env.cluster.namespace}`));
  });

  test('misses a worker and its search attributes', async () => {
    const alone = await namespaceWithoutWorker('lonely');

    const [findings] = await alone.json<{ what: string; ok: boolean; text: string }[]>('doctor');

    const bad = findings?.filter(({ ok }) => !ok).map(({ what }) => what);
    expect(bad).toEqual(['search attributes', 'worker']);
    expect(findings?.find(({ what }) => what === 'worker')?.text).toContain('npm run worker');
  });

  test('tells everything else too where Temporal, settings or cluster are not there', async () => {
    const broken = settingsFileWith('kubernetes: { namspace: x }');
    const [down, unset, lost] = await Promise.all([
      cli.with({ TEMPORAL_ADDRESS: nowhere }).run('doctor'),
      cli.with({ ROLLBACK_CONFIG: broken }).run('doctor'),
      cli.with({ KUBECONFIG: '/no/such/kubeconfig' }).run('doctor'),
    ]);
    for (const { exitCode } of [down, unset, lost]) expect(exitCode).toBe(1);
    expect(down.stdout).toEqual(line('✗', 'temporal', 'does not answer'));
    expect(down.stdout).toEqual(line('✓', 'kubernetes', 'context sandbox'));
    expect(unset.stdout).toEqual(line('✗', 'settings', 'kubernetes.namspace: is not a known'));
    expect(unset.stdout).toEqual(line('✓', 'worker', '@'));
    expect(lost.stdout).toEqual(line('✗', 'kubernetes', 'kubeconfig'));
  });

  test('finds a raised strategy that a terminated run left, and puts it back', async () => {
    await env.cluster.deploy('left', 'wakala/api:1.0.0', 1);
    const { spec } = await env.cluster.deployment('left');
    const run = { workflowId: 'terminated-long-ago', firstRunId: 'gone' };
    const kept = JSON.stringify({ strategy: spec?.strategy, run });
    await env.cluster.patch('left', {
      metadata: { annotations: { [strategyAnnotation]: kept } },
      spec: { strategy: surgeStrategy },
    });

    const found = await cli.run('doctor');
    expect(found.exitCode).toBe(1);
    expect(found.stdout).toEqual(line('✗', 'left behind', 'on left: .*rollback doctor --mend'));

    expect((await cli.run('doctor', '--mend')).exitCode).toBe(0);
    const mended = await env.cluster.deployment('left');
    expect(mended.spec?.strategy).toEqual(spec?.strategy);
    expect(mended.metadata?.annotations).not.toHaveProperty([strategyAnnotation]);
    expect((await cli.run('doctor')).exitCode).toBe(0);
  });

  test('takes a strategy for raised only where it is, whatever kubectl has brought back', async () => {
    const name = 'undone';
    await env.cluster.deploy(name, 'wakala/api:1.0.0', 1);
    const { spec } = await env.cluster.deployment(name);
    const run = { workflowId: 'ended-long-ago', firstRunId: 'gone' };
    const kept = JSON.stringify({ strategy: spec?.strategy, run });
    await env.cluster.patch(name, {
      metadata: { annotations: { [strategyAnnotation]: kept } },
      spec: { strategy: surgeStrategy },
    });
    await eventually('the ReplicaSet has the annotation', async () => {
      const [set] = (await env.cluster.replicaSets(name)).values();
      return set?.metadata?.annotations?.[strategyAnnotation] === kept;
    });
    await env.cluster.patch(name, {
      metadata: { annotations: { [strategyAnnotation]: null } },
      spec: { strategy: spec?.strategy },
    });
    await env.cluster.release(name, 'wakala/api:2.0.0-bad');
    await env.cluster.kubectl('rollout', 'undo', `deployment/${name}`);
    const undone = await env.cluster.deployment(name);
    expect(undone.metadata?.annotations).toHaveProperty([strategyAnnotation], kept);

    for (const flags of [[], ['--mend']]) {
      const { exitCode, stdout } = await cli.run('doctor', ...flags);
      expect(stdout).toEqual(line('✓', 'left behind', 'nothing in'));
      expect(exitCode).toBe(0);
    }

    expect((await env.cluster.deployment(name)).spec?.strategy).toEqual(spec?.strategy);
  });
});

/** The CLI on a Temporal namespace that no worker polls. */
async function namespaceWithoutWorker(namespace: string): Promise<CommandLine> {
  await env.client.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: month,
  });
  await eventually(`namespace ${namespace} is known to the server`, () =>
    env.client.workflowService.listWorkflowExecutions({ namespace }).then(
      () => true,
      () => false,
    ),
  );
  return cli.with({ TEMPORAL_NAMESPACE: namespace });
}
