import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1ObjectMeta } from '@kubernetes/client-node';
import { execa } from 'execa';
import {
  type ScaledDown,
  scaledDownAnnotation,
} from '../src/activities/kubernetes/deployment/replicas.ts';
import { CommandLine } from './support/command-line.ts';
import { HealthServer } from './support/health-server.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { writeSettings } from './support/settings.ts';
import { StatefulSets, v1, v2 } from './support/stateful-sets.ts';

const health = new HealthServer();
await health.start();
const checked = (name: string) => ({
  statefulSet: name,
  checks: { health: { url: health.url, requests: 1, retries: 0 } },
});
const names = ['named', 'unnamed', 'unknown', 'again'];
const env = useRollbackEnvironment(
  { services: Object.fromEntries(names.map((name) => [name, checked(name)])) },
  { procedure: 'statefulset' },
);
const sets = new StatefulSets(() => env.cluster);
const open = (name: string) => ({ app: name, version: 'stable' });
const closed = (name: string) => ({ app: name, version: 'maintenance' });
const skipBackup = true;
let cli!: CommandLine;

beforeAll(() => {
  cli = new CommandLine({
    ...{ TEMPORAL_ADDRESS: env.temporal.address, TEMPORAL_NAMESPACE: 'default' },
    ROLLBACK_CONFIG: env.settingsFile,
  });
});
afterAll(() => health.stop());

/** Terminates a run that has stopped the traffic, gone back, and found a check red; answers its id. */
async function terminated(name: string): Promise<string> {
  await sets.history(name, [v1, v2], { replicas: 1 });
  health.answer = () => 500;
  const id = await env.start({ statefulSet: name, service: name, skipBackup });
  await env.untilPaused(id);
  await env.client.workflow.getHandle(id).terminate('by mistake');
  health.answer = () => 200;
  expect(await sets.selector(name)).toEqual(closed(name));
  return id;
}

/** What `rollback doctor` says is left behind. */
async function leftBehind(): Promise<string> {
  const [findings] = await cli.json<{ what: string; text: string }[]>('doctor');
  return findings?.find(({ what }) => what === 'left behind')?.text ?? '';
}

describe('traffic that a terminated run has stopped', () => {
  test('is told with what to do, and resumed by the next run though the template is right', async () => {
    const id = await terminated('named');

    const status = await cli.run('status', id);
    expect(status.stderr).toContain(`take it up again with rollback resume ${id}.`);
    expect(await leftBehind()).toMatch(
      new RegExp(`^Service named in .* gets no traffic since run ${id} .*: rollback resume ${id}$`),
    );
    const commands = await cli.run('plan', 'statefulset', 'named', '--commands');
    expect(commands.stdout).toContain(`whose traffic run ${id} stopped, gets it back`);
    expect(commands.stdout).toContain('patch service named');

    const result = await env.run({ statefulSet: 'named' });

    expect(result.outcome).toBe('rolled-back');
    expect(result.steps.map(({ title, state }) => `${title}: ${state}`)).toEqual([
      'Check health: done',
      'Resume the traffic of named: done',
    ]);
    expect(await sets.selector('named')).toEqual(open('named'));
    expect((await env.run({ statefulSet: 'named' })).outcome).toBe('no-op');
    expect(await leftBehind()).toMatch(/^nothing in namespace/);
  });

  test('is resumed with the next version that goes back, whether or not it is named', async () => {
    const id = await terminated('unnamed');
    await sets.release('unnamed', 'wakala/api:3.0.0-bad');
    await sets.rollout('unnamed');

    const result = await env.run({ statefulSet: 'unnamed', skipBackup });

    expect(result.outcome).toBe('rolled-back');
    expect(result.message).toContain(`Service unnamed, whose traffic run ${id} stopped`);
    expect(result.steps.map(({ title }) => title)).toEqual([
      'Restore the pod template',
      'Wait for every replica',
      'Check health',
      'Resume the traffic of unnamed',
    ]);
    expect(await sets.selector('unnamed')).toEqual(open('unnamed'));

    await sets.release('unnamed', 'wakala/api:4.0.0-bad');
    await sets.rollout('unnamed');
    health.answer = () => 500;
    const second = await env.runUntilPaused({
      statefulSet: 'unnamed',
      service: 'unnamed',
      skipBackup,
    });
    await env.client.workflow.getHandle(second.workflowId).terminate('by mistake');
    health.answer = () => 200;
    await sets.release('unnamed', 'wakala/api:5.0.0-bad');
    await sets.rollout('unnamed');
    const named = await env.run({ statefulSet: 'unnamed', service: 'unnamed', skipBackup });
    expect(named.outcome).toBe('rolled-back');
    expect(await sets.selector('unnamed')).toEqual(open('unnamed'));
  });

  test('stays stopped while a check is red, and after an abort', async () => {
    await terminated('again');
    health.answer = () => 500;
    const paused = await env.runUntilPaused({ statefulSet: 'again' });
    expect(paused.pausedAt[0]?.step).toBe('Check health');
    expect((await env.abort(paused)).outcome).toBe('aborted');
    expect(await sets.selector('again')).toEqual(closed('again'));
    health.answer = () => 200;

    expect((await env.run({ statefulSet: 'again' })).outcome).toBe('rolled-back');
    expect(await sets.selector('again')).toEqual(open('again'));
  });

  test('is said, with the command, where nobody knows where it went', async () => {
    const id = await terminated('unknown');
    await env.cluster.kubectl('annotate', 'service/unknown', 'rollback-workflows/stopped-');

    const result = await env.run({ statefulSet: 'unknown' });

    expect(result.outcome).toBe('no-op');
    expect(result.message).toContain('Service unknown already selects app=unknown,version=mainten');
    expect(result.message).toContain(`Resume it with rollback resume ${id} where that run was`);
    const command = /kubectl --context .*$/.exec(result.message)?.[0] ?? '';
    expect(command).toMatch(/ set selector service\/unknown 'app=unknown,version=stable'$/);
    await env.cluster.kubectl(...command.replaceAll("'", '').split(' ').slice(5));
    expect(await sets.selector('unknown')).toEqual(open('unknown'));
    const after = await env.run({ statefulSet: 'unknown' });
    expect(after.message).not.toContain('Service unknown');
  });
});

test('traffic that printed commands have stopped and not resumed is told, and resumed by them, by new ones, and by a run', async () => {
  const name = 'by-hand';
  await sets.history(name, [v1, v2], { replicas: 1 });
  const commands = async () => {
    const flags = ['--service', name, '--skip-backup', '--commands'];
    const { stdout } = await cli.run('plan', 'statefulset', name, ...flags);
    return stdout;
  };
  const run = (input: string) => execa('sh', { input });
  /** What the commands do until the traffic is stopped. */
  const halfWay = (input: string) => run(input.slice(0, input.indexOf('\nfi\n') + 4));
  const noted = async () => {
    const { metadata } = await env.cluster.get<{ metadata: V1ObjectMeta }>('service', name);
    return metadata.annotations?.['rollback-workflows/stopped'];
  };
  const released = async () => {
    await sets.release(name, v2);
    await sets.rollout(name);
  };
  const expectResumedBy = async (input: string) => {
    for (let times = 1; times <= 2; times++) {
      await run(input);
      expect(await sets.image(name)).toBe(v1);
      expect(await sets.selector(name)).toEqual(open(name));
      expect(await noted()).toBeUndefined();
    }
  };
  const first = await commands();
  await halfWay(first);

  expect(await sets.selector(name)).toEqual(closed(name));
  expect(await leftBehind()).toMatch(
    /^Service by-hand in .* gets no traffic since the commands of rollback plan stopped it: run them to their end, or kubectl .* set selector service\/by-hand/,
  );
  await expectResumedBy(first);

  await released();
  await halfWay(await commands());
  const anew = await commands();
  expect(anew).toContain('whose traffic the commands of rollback plan stopped, gets it back');
  await expectResumedBy(anew);

  await released();
  await halfWay(await commands());
  expect(await sets.selector(name)).toEqual(closed(name));
  const { outcome } = await env.run({ statefulSet: name, skipBackup });

  expect(outcome).toBe('rolled-back');
  expect(await sets.selector(name)).toEqual(open(name));
  expect(await leftBehind()).toMatch(/^nothing in namespace/);
}, 120_000);

describe('services that were stopped for a restore and not started again', () => {
  /** A namespace with some, stopped by a run that has ended, by one that is forgotten, and a colour that was left. */
  async function stopped() {
    const cluster = await env.anotherNamespace();
    const { namespace } = cluster;
    const id = await env.start({ statefulSet: 'absent', namespace });
    await env.result(id);
    const { runId: firstRunId } = await env.client.workflow.getHandle(id).describe();
    const scaledDown = async (name: string, change: string, workflowId = id) => {
      await cluster.deploy(name, v1, 0);
      const note: ScaledDown = { replicas: 3, run: workflowId, firstRunId, change };
      await cluster.kubectl(
        ...['annotate', `deployment/${name}`],
        `${scaledDownAnnotation}=${JSON.stringify(note)}`,
      );
    };
    await scaledDown('stopped', `stop/${namespace}/stopped`);
    await scaledDown('forgotten', `stop/${namespace}/forgotten`, 'long-ago');
    await scaledDown('green', 'left');
    const there = cli.with({ ROLLBACK_CONFIG: writeSettings({ kubernetes: { namespace } }) });
    return { cluster, id, there };
  }

  test('are told by rollback doctor, and colours that are left are not', async () => {
    const { id, there } = await stopped();

    const [findings] = await there.json<{ what: string; text: string }[]>('doctor');
    const left = findings?.find(({ what }) => what === 'left behind');

    const lines = (left?.text ?? '').split('; ').sort();
    expect(lines).toEqual([
      expect.stringMatching(
        /^Deployment forgotten .* kubectl .* scale deployment\/forgotten --replicas=3$/,
      ),
      expect.stringMatching(
        new RegExp(`^Deployment stopped .* has no replicas .*: rollback resume ${id}$`),
      ),
    ]);
  });

  test('are told by the plans that give them another version, and by those that have nothing to do', async () => {
    const { cluster, id, there } = await stopped();
    const told = (name: string, run: string) =>
      new RegExp(
        `Deployment ${name} in ${cluster.namespace} has no replicas since run ${run} stopped it .*: where that run has ended, rollback resume ${run}, or kubectl --context \\S+ -n ${cluster.namespace} scale deployment/${name} --replicas=3`,
      );
    const plan = async (...about: string[]) => {
      const [made] = await there.json<{ warnings: string[]; summary: string }>('plan', ...about);
      return { warnings: made?.warnings.join('\n') ?? '', summary: made?.summary ?? '' };
    };
    for (const name of ['stopped', 'forgotten', 'green']) await cluster.release(name, v2);

    expect((await plan('deployment', 'stopped')).warnings).toMatch(told('stopped', id));
    expect((await plan('deployment', 'green')).warnings).not.toContain('has no replicas');
    const several = await plan('services', 'stopped', 'forgotten');
    expect(several.warnings).toMatch(told('stopped', id));
    expect(several.warnings).toMatch(told('forgotten', 'long-ago'));

    const back = await env.result(
      await env.startAs(
        'on-call',
        { services: ['stopped', 'forgotten'], namespace: cluster.namespace },
        undefined,
        'services',
      ),
    );
    expect(back.outcome).toBe('rolled-back');
    expect((await plan('deployment', 'stopped')).summary).toMatch(told('stopped', id));
    const done = await plan('services', 'stopped', 'forgotten');
    expect(done.summary).toMatch(told('forgotten', 'long-ago'));
  });
});
