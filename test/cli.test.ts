import { beforeAll, describe, expect, test } from '@jest/globals';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { writeSettings } from './support/settings.ts';
import { written } from './support/cluster.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const red = { smoke: { command: ['false'], retries: 0 } };
const env = useRollbackEnvironment({ services: { red: { deployment: 'red', checks: red } } });
const colour = '\u001b[';
let cli: CommandLine;

beforeAll(() => {
  const settings = {
    kubernetes: { namespace: env.cluster.namespace },
    aliases: { api: ['deployment', 'aliased', '--reason', 'from the alias'] },
  };
  cli = new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: writeSettings(settings),
  });
});

/** The worker has no settings of this file, so a run is told its namespace. */
const here = () => ['-n', env.cluster.namespace];

async function generation(name: string): Promise<number | undefined> {
  return (await env.cluster.deployment(name)).metadata?.generation;
}

interface Listed {
  workflowId: string;
  asked?: string;
  outcome?: string;
}

describe('a rollback from a script', () => {
  test.concurrent('says in plain lines what it does, and every look at it agrees', async () => {
    await env.cluster.history('plain', 2, v1, v2);

    const run = await cli.run('deployment', 'plain', ...here(), '--reason', 'errors since 2.0.0');

    expect(run.exitCode).toBe(0);
    expect(run.stdout).not.toContain(colour);
    expect(run.stdout).toMatch(/^Deployment plain in .* goes from revision 2 back to revision 1: /);
    expect(run.stdout).toMatch(/^✓ +\d+\.\ds {2}Restore the pod template: /m);
    expect(run.stdout).toMatch(/\nrolled-back in \d+\.\d s$/);
    const [, id = ''] = /^Run (rollback-deployment-plain-\S+)$/m.exec(run.stderr) ?? [];

    const [watch, status, coloured, listed] = await Promise.all([
      cli.run('watch', id),
      cli.json<RunResult>('status', id),
      cli.with({ FORCE_COLOR: '1' }).run('status', id),
      eventually('the run is listed', async () =>
        (await cli.json<Listed[]>('list'))[0]?.find(
          ({ workflowId, outcome }) => workflowId === id && outcome,
        ),
      ),
    ]);
    expect(watch.exitCode).toBe(0);
    // What was running at some moment is told only by who followed it then.
    expect(run.stdout.split('\n')).toEqual(expect.arrayContaining(watch.stdout.split('\n')));
    expect(status[0]).toMatchObject({ outcome: 'rolled-back', reason: 'errors since 2.0.0' });
    expect(coloured.stdout).toContain(colour);
    expect(listed).toMatchObject({
      outcome: 'rolled-back',
      targets: [`deployment/${env.cluster.namespace}/plain`],
    });
  });

  test.concurrent('follows in lines of JSON, the last with the outcome', async () => {
    await env.cluster.history('lines', 2, v1, v2);

    const lines = await cli.json<RunResult>('deployment', 'lines', ...here());

    expect(lines[0]).toEqual({ workflowId: expect.stringMatching(/^rollback-deployment-lines-/) });
    expect(lines.at(-1)).toMatchObject({ phase: 'done', outcome: 'rolled-back' });
    expect(lines.filter(({ outcome }) => outcome)).toHaveLength(1);
  });

  test.concurrent('may be started again with its id, and still happens once', async () => {
    await env.cluster.history('once', 2, v1, v2);
    const input = JSON.stringify({ deployment: 'once', namespace: env.cluster.namespace });
    const start = (...more: string[]) =>
      cli.runWith(input, 'deployment', '--input', '-', '--id', 'night-of-the-10th', ...more);

    const both = await Promise.all([start('--detach', '--json'), start('--detach', '--json')]);
    for (const { exitCode, stdout } of both) {
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toEqual({ workflowId: 'night-of-the-10th' });
    }
    expect((await cli.run('watch', 'night-of-the-10th')).exitCode).toBe(0);
    await env.cluster.release('once', v2);
    const before = await generation('once');

    const late = await start();

    expect(late.exitCode).toBe(0);
    expect(late.stderr).toContain('Run night-of-the-10th was started before: following it.');
    expect(await generation('once')).toBe(before);
    expect(await env.cluster.image('once')).toBe(v2);
  });

  test.concurrent('is the short word from the settings, with flags added', async () => {
    await env.cluster.history('aliased', 2, v1, v2);

    const [last] = (await cli.json<RunResult>('api', ...here())).slice(-1);

    expect(last).toMatchObject({ outcome: 'rolled-back', reason: 'from the alias' });
  });
});

describe('the exit code', () => {
  test.concurrent('is 0 for a dry run, which shows the plan and changes nothing', async () => {
    await env.cluster.history('dry', 2, v1, v2);
    const before = await env.cluster.deployment('dry');

    const ended = await cli.run('deployment', 'dry', ...here(), '--dry-run');
    const { stdout } = ended;

    // All of it, so that a failure says why.
    expect(ended).toMatchObject({ exitCode: 0 });
    expect(stdout).toContain(`${v2} -> ${v1}`);
    expect(stdout).toMatch(/\ndry-run: nothing was changed$/);
    const after = await env.cluster.deployment('dry');
    expect(written(after)).toEqual(written(before));
  });

  test.concurrent('is 1 where a red check was aborted, with the words of the check', async () => {
    await env.cluster.history('red', 1, v1, v2);

    const running = cli.run('deployment', 'red', ...here(), '--id', 'red-check');
    const retries = await eventually('the run is paused', async () => {
      const retried = await cli.run('retry', 'red-check');
      return retried.exitCode === 0 && retried;
    });
    expect(retries.stdout).toContain('on-call decided: retry step "Check smoke"');
    await eventually('it is paused again', async () =>
      (await cli.run('status', 'red-check')).stdout.includes('attempt 2: rollback retry red-check'),
    );
    await eventually('it is listed with what it waits for', async () => {
      const { stdout } = await cli.run('list', '--waiting');
      return stdout.includes('Paused at "Check smoke", attempt 2: rollback retry red-check');
    });
    const aborted = await cli.run('abort', 'red-check', '--yes', '--note', 'let it be');
    expect(aborted).toMatchObject({ exitCode: 0 });

    const { exitCode, stdout } = await running;
    expect(exitCode).toBe(1);
    // Whether it was seen while it was paused, or only when it had ended, is chance.
    expect(stdout).toMatch(/^[‖✗] .*Check smoke: smoke: false: Command failed with exit code 1/m);
    expect(stdout).toMatch(
      /^aborted in \d+\.\d s: on-call aborted the run at "Check smoke": let it be\.$/m,
    );
    expect(await env.cluster.image('red')).toBe(v2);
  });

  test.concurrent(
    'is 2 for a skip in a run that is not paused, which an abort ends all the same',
    async () => {
      await env.cluster.history('going', 1, v1, v2);
      const owner = await env.occupy('going');
      const id = await env.start({ deployment: 'going', wait: '1m' });
      await env.untilPlanned(id);

      const { exitCode, stderr } = await cli.run('skip', id, '--yes');

      expect(exitCode).toBe(2);
      expect(stderr).toContain(
        `Run ${id} is not paused at a step, so there is nothing to skip: a step that fails pauses by itself, and rollback abort ${id} takes all back at any time.`,
      );
      expect(await cli.run('abort', id, '--yes')).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('on-call decided: abort the run.'),
      });
      expect((await env.result(id)).next).toContain('Nothing was changed.');
      await owner.free();
    },
  );

  test.concurrent('is 2 where the plan refuses, with what to do instead', async () => {
    const { exitCode, stdout } = await cli.run('deployment', 'absent', ...here());

    expect(exitCode).toBe(2);
    expect(stdout).toContain(`refused: There is no Deployment absent in namespace`);
    expect(stdout).toContain('Nothing was changed.');
    // It never had a plan that could tell what it was about.
    const listed = await eventually('it is listed', async () =>
      (await cli.json<Listed[]>('list'))[0]?.find(
        ({ asked, outcome }) => asked === 'absent' && outcome,
      ),
    );
    expect(listed).toMatchObject({ outcome: 'refused', requestedBy: 'on-call (not proved)' });
  });

  test.concurrent('is 4 where another run holds the target, and names it', async () => {
    await env.cluster.history('held', 1, v1, v2);
    const owner = await env.occupy('held');

    const { exitCode, stdout } = await cli.run('deployment', 'held', ...here());

    expect(exitCode).toBe(4);
    expect(stdout).toContain(`rollback watch ${owner.identity.workflowId}`);
    expect(await env.cluster.image('held')).toBe(v2);
    await owner.free();
  });

  test.concurrent('is that of the run that was faster, where it does the same', async () => {
    const never = 'wakala/api:1.0.0-broken';
    await env.cluster.kubectl('create', 'deployment', 'wanted', `--image=${never}`);
    await env.cluster.release('wanted', v2);
    const faster = await env.start({ deployment: 'wanted' });
    await env.cluster.pods('wanted', never);

    const running = cli.run('deployment', 'wanted', ...here(), '--id', 'slower');
    const ended = () => env.result('slower').catch(() => false as const);
    const slower = await eventually('the second run has ended', ended);
    expect(slower && slower.outcome).toBe('busy');
    await env.client.workflow.getHandle(faster).cancel();

    const { exitCode, stderr } = await running;
    expect(stderr).toContain(`Run ${faster} does the same already: following it.`);
    expect(exitCode).toBe(1);
  });

  test.concurrent(
    'is 2 for a run that is not there, and 1 for one that was terminated',
    async () => {
      const [status, watch] = await Promise.all([cli.run('status', 'no'), cli.run('watch', 'no')]);
      for (const ended of [status, watch]) {
        expect(ended).toMatchObject({
          exitCode: 2,
          stderr: 'There is no run no: see rollback list.',
        });
      }
      await env.cluster.history('ended', 1, v1, v2);
      const owner = await env.occupy('ended');
      const id = await env.start({ deployment: 'ended', wait: '10m' });
      await env.untilPlanned(id);
      await env.client.workflow.getHandle(id).terminate('by mistake');
      await owner.free();

      const terminated = await cli.run('watch', id);

      expect(terminated.exitCode).toBe(1);
      expect(terminated.stderr).toMatch(/ended without a result: .*What it had changed stands/);
      expect(terminated.stderr).toContain(`rollback resume ${id}`);
    },
  );
});
