import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import type { Finding } from '../src/client/doctor/findings.ts';
import type { Plan } from '../src/contract/plan.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { makeServiceAccounts, removeClusterRoles } from './support/service-accounts.ts';
import { broken, StatefulSets, v1, v2 } from './support/stateful-sets.ts';

/** By the name of service account and StatefulSet: what it lacks. */
const wanted = {
  full: undefined,
  'no-exec': { kind: 'Role', verb: 'get', resource: 'pods/exec' },
  'no-patch': { kind: 'Role', verb: 'patch', resource: 'statefulsets' },
  'no-delete': { kind: 'Role', verb: 'delete', resource: 'pods' },
  'no-revisions': { kind: 'Role', verb: 'list', resource: 'controllerrevisions' },
} as const;
const logs = { selector: 'app=full', retries: 0 };
const full = { statefulSet: 'full', service: 'full', checks: { logs } };
const env = useRollbackEnvironment({ services: { full } }, { procedure: 'statefulset' });
const sets = new StatefulSets(() => env.cluster);
const admin = process.env.KUBECONFIG;
let cli!: CommandLine;

beforeAll(async () => {
  cli = new CommandLine({
    KUBECONFIG: admin,
    ROLLBACK_CONFIG: settingsFileWith(`kubernetes: { namespace: ${env.cluster.namespace} }`),
  });
  // The worker of this process reads it when it first hears of a context.
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, wanted);
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(wanted));
  process.env.KUBECONFIG = admin;
});

describe('the role in deploy/', () => {
  test.concurrent('is enough for all of it', async () => {
    await sets.history('full', [v1, v2], { replicas: 1 });
    await sets.exec('full-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');

    const id = await env.start({ statefulSet: 'full', context: 'full', restore: 'previous' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');

    const result = await env.result(id);
    expect(result.message).toContain('back to revision 1');
    expect(result.outcome).toBe('rolled-back');
    expect(result.steps).toHaveLength(7);
  });

  test.concurrent.each([
    ['run commands in pods', 'no-exec', 'pods/exec'],
    ['read the history', 'no-revisions', 'controllerrevisions'],
  ])('without the right to %s nothing is begun', async (_, name, resource) => {
    await sets.history(name, [v1, v2], { replicas: 1 });
    const result = await env.run({ statefulSet: name, service: name, context: name });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain(`resource "${resource}"`);
    expect(result.message).toContain('deploy/kubernetes-role.yaml');
    expect(await sets.image(name)).toBe(v2);
  });

  test.concurrent(
    'without the right to delete pods, which a stuck one needs, nothing is begun',
    async () => {
      await sets.history('no-delete', [v1], { replicas: 1 });
      await sets.release('no-delete', broken);
      await sets.untilRuns('no-delete-0', broken);
      const result = await env.run({ statefulSet: 'no-delete', context: 'no-delete' });
      expect(result.outcome).toBe('refused');
      expect(result.message).toMatch(/may not delete pods in .*deploy\/kubernetes-role\.yaml\.$/);
      expect(await sets.image('no-delete')).toBe(broken);
    },
  );

  describe('without the right to patch StatefulSets', () => {
    const name = 'no-patch';
    beforeAll(() => sets.history(name, [v1, v2], { replicas: 1 }));

    test('no traffic is stopped', async () => {
      const watch = await env.cluster.watch('service', [name], '{.spec.selector.version}');

      const result = await env.run({ statefulSet: name, service: name, context: name });

      expect(result.outcome).toBe('refused');
      expect(result.message).toContain(
        `may not patch statefulsets in namespace ${env.cluster.namespace} of context ${name}`,
      );
      expect(result.message).toContain('deploy/kubernetes-role.yaml');
      expect(await watch.stop()).toEqual(['stable']);
      expect(await sets.image(name)).toBe(v2);
    });

    test('a plan is made by somebody who need not have it', async () => {
      const own = new CommandLine({
        KUBECONFIG: process.env.KUBECONFIG,
        ROLLBACK_CONFIG: settingsFileWith(`kubernetes: { namespace: ${env.cluster.namespace} }`),
      });
      const flags = ['--service', name, '--context', name];
      const [plan] = await own.json<Plan>('plan', 'statefulset', name, ...flags);
      expect(plan?.changes.map(({ id }) => id)).toContain('template');
    });

    test.each([
      ['a warning', {}],
      ['in the way where the settings have one', { services: { full } }],
    ])('doctor says so: %s', async (_, more) => {
      const { namespace } = env.cluster;
      const settings = { kubernetes: { context: name, namespace }, ...more };
      const own = new CommandLine({
        KUBECONFIG: process.env.KUBECONFIG,
        TEMPORAL_ADDRESS: env.temporal.address,
        ROLLBACK_CONFIG: settingsFileWith(JSON.stringify(settings)),
      });
      const [findings] = await own.json<Finding[]>('doctor');
      expect(findings?.find(({ what }) => what === 'permissions')).toEqual({
        ...{ what: 'permissions', ok: false },
        ...('services' in more ? {} : { warning: true }),
        text: `missing in namespace ${namespace} for statefulset: patch statefulsets; apply deploy/kubernetes-role.yaml`,
      });
    });
  });
});

describe('without Temporal', () => {
  test.concurrent('the printed commands roll back once, and get a stuck pod going', async () => {
    await sets.history('by-hand', [v1], { replicas: 2 });
    await sets.exec('by-hand-0', 'tar', '-czf', '/backup/state-previous.tar.gz', '/data');
    await sets.write('by-hand-0', 'spoilt');
    await sets.release('by-hand', broken);
    await sets.untilRuns('by-hand-1', broken);
    const flags = ['--service', 'by-hand', '--restore', 'previous', '--commands'];
    const { stdout: commands } = await cli.run('plan', 'statefulset', 'by-hand', ...flags);
    expect(commands).toMatch(/^# Ask 1 team-lead before you run this/m);
    const env_ = { KUBECONFIG: admin };
    const watch = await env.cluster.watch('service', ['by-hand'], '{.spec.selector.version}');

    await execa('sh', { input: commands, env: env_ });

    expect(await sets.images('by-hand')).toEqual([v1, v1]);
    expect(await sets.read('by-hand-0')).toBe('before');
    expect(await watch.stop()).toEqual(['stable', 'maintenance', 'stable']);
    expect(await sets.archives('by-hand-0')).toHaveLength(3);

    await sets.write('by-hand-0', 'written since');
    const again = await env.cluster.watch('service', ['by-hand'], '{.spec.selector.version}');
    await execa('sh', { input: commands, env: env_ });

    expect(await sets.read('by-hand-0')).toBe('written since');
    expect(await again.stop()).toEqual(['stable']);
    expect(await sets.archives('by-hand-0')).toHaveLength(3);

    await sets.release('by-hand', 'wakala/api:3.0.0');
    await sets.rollout('by-hand');
    const late = await execa('sh', { input: commands, env: env_, reject: false });
    expect(late.stderr).toContain('is no longer at revision 2: nothing is changed');
    expect(await sets.image('by-hand')).toBe('wakala/api:3.0.0');
  });

  test.concurrent('the history tells which revision is which', async () => {
    await sets.history('told', [v1, v2], { replicas: 1 });
    const { stdout } = await cli.run('history', 'statefulset/told');
    const lines = stdout.split('\n');
    expect(lines[1]).toMatch(/^2 \(current\) +wakala\/api:2\.0\.0-bad +1 +\d+s/);
    expect(lines[2]).toMatch(/^1 +wakala\/api:1\.0\.0 +0 +\d+s/);
    expect((await cli.run('history', 'statefulset/absent')).stderr).toContain('no StatefulSet abs');
  });
});
