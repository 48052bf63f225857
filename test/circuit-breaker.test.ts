import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import {
  configMap,
  data,
  envFrom,
  generationOf,
  image,
  keys,
  makeReader,
  valuesOf,
} from './support/circuit-breakers.ts';
import { CommandLine, settingsFileWith } from './support/command-line.ts';
import { deploymentManifest } from './support/manifests.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { makeServiceAccounts, removeClusterRoles } from './support/service-accounts.ts';

const env = useRollbackEnvironment({}, { procedure: 'circuit-breaker' });
const cluster = () => env.cluster;

const accounts = {
  allowed: undefined,
  'no-patch': { kind: 'Role', verb: 'patch', resource: 'configmaps' },
} as const;
const admin = process.env.KUBECONFIG;
beforeAll(async () => {
  process.env.KUBECONFIG = await makeServiceAccounts(env.cluster, accounts);
});
afterAll(async () => {
  await removeClusterRoles(env.cluster, Object.keys(accounts));
  process.env.KUBECONFIG = admin;
});

const make = (name: string) => makeReader(cluster(), name);
const values = (name: string) => valuesOf(cluster(), name);
const generation = (name: string) => generationOf(cluster(), name);
const restartedAt = async (name: string) => {
  const { spec } = await cluster().deployment(name);
  return spec?.template.metadata?.annotations?.['kubectl.kubernetes.io/restartedAt'];
};

describe('opening the circuit breaker', () => {
  test.concurrent(
    'changes what kubectl would, and restarts nobody who does not read it',
    async () => {
      await Promise.all([make('ours'), make('theirs'), make('bystander')]);
      const patch = JSON.stringify({ data: keys });
      await cluster().kubectl('patch', 'configmap', 'theirs', '--type=merge', '-p', patch);

      const result = await env.run({ configMap: 'ours' });

      expect(result.outcome).toBe('rolled-back');
      expect(await values('ours')).toEqual(await values('theirs'));
      expect(result.steps.map(({ title }) => title)).toEqual([
        'Open the circuit breaker',
        'Restart deployment/ours',
      ]);
      expect(await restartedAt('ours')).toBeDefined();
      const { status } = await cluster().deployment('ours');
      expect(status).toMatchObject({ updatedReplicas: 2, availableReplicas: 2, replicas: 2 });
      expect(await generation('bystander')).toBe(1);
    },
  );

  test.concurrent('finds everybody who refers to it, in whichever way', async () => {
    const name = 'wanted';
    const named = { configMap: { name } };
    const pods: Record<string, { container?: object; pod?: object }> = {
      'by-env': { container: envFrom(name) },
      'by-key': {
        container: {
          env: [{ name: 'E', valueFrom: { configMapKeyRef: { name, key: 'OTHER' } } }],
        },
      },
      'by-init': { pod: { initContainers: [{ name: 'init', image, ...envFrom(name) }] } },
      'by-file': { pod: { volumes: [{ name: 'v', ...named }] } },
      'by-projection': { pod: { volumes: [{ name: 'v', projected: { sources: [named] } }] } },
      'by-nothing': { container: envFrom('another') },
    };
    const deployments = Object.entries(pods).map(([of, wanted]) =>
      deploymentManifest(of, image, { replicas: 1, ...wanted }),
    );
    const statefulSet = {
      ...deploymentManifest('by-set', image, { replicas: 1, container: envFrom(name) }),
      kind: 'StatefulSet',
    };
    const daemonSet = deploymentManifest('by-daemon', image, { container: envFrom(name) }) as {
      spec: { replicas?: number };
    };
    delete daemonSet.spec.replicas;
    await cluster().apply([
      ...[configMap(name), configMap('another'), statefulSet],
      ...[...deployments, { ...daemonSet, kind: 'DaemonSet' }],
    ]);
    await cluster().kubectl('rollout', 'status', 'statefulset/by-set', '--timeout=30s');
    await Promise.all(Object.keys(pods).map((of) => cluster().rollout(of)));
    await cluster().kubectl('rollout', 'pause', 'deployment/by-key');

    const { plan } = await env.run({ configMap: name, dryRun: true });

    expect(plan?.targets.map(({ kind, name: of }) => `${kind}/${of}`).sort()).toEqual([
      'configmap/wanted',
      'deployment/by-env',
      'deployment/by-file',
      'deployment/by-init',
      'deployment/by-projection',
      'statefulset/by-set',
    ]);
    const said = plan?.warnings.join('\n');
    expect(said).toContain('Deployment by-key reads it as well and is not restarted: it is paused');
    expect(said).toContain('DaemonSet by-daemon reads ConfigMap wanted as well');
    expect(said).toContain('Deployment by-file reads the ConfigMap from files');
    // The values themselves stay where they are.
    expect(JSON.stringify(plan)).not.toContain('a long value');
  });

  test.concurrent('twice changes and restarts nothing more', async () => {
    await make('twice');
    await env.run({ configMap: 'twice' });
    const before = [await generation('twice'), await values('twice')];

    const second = await env.run({ configMap: 'twice' });

    expect(second.outcome).toBe('no-op');
    expect(second.message).toMatch(/already open: run run-\w+ did that at/);
    expect([await generation('twice'), await values('twice')]).toEqual(before);
  });

  test.concurrent('where nobody reads it is done, and that is said', async () => {
    await cluster().apply([configMap('unread', { data: { OTHER: 'stays' } })]);
    const result = await env.run({ configMap: 'unread' });
    expect(result.outcome).toBe('rolled-back');
    expect(result.message).toContain('nobody reads it, so nothing is restarted');
    expect(await values('unread')).toEqual({ ...keys, OTHER: 'stays' });
  });

  test.concurrent('never restarts the worker that does it', async () => {
    await make('own');
    const pods = await cluster().kubectl('get', 'pods', '-l', 'app=own', '-o', 'name');
    process.env.HOSTNAME = pods.split('\n')[0]?.replace('pod/', '');

    const { plan } = await env.run({ configMap: 'own', dryRun: true });

    expect(plan?.targets.map(({ kind }) => kind)).toEqual(['configmap']);
    expect(plan?.warnings.join('\n')).toContain(
      'Deployment own reads it as well and is not restarted: this very worker runs in it',
    );
  });

  test.concurrent.each<[string, string, object, RegExp]>([
    ['an immutable ConfigMap', 'fixed', { data, immutable: true }, /is immutable/],
    ['a ConfigMap that is not there', 'absent', {}, /There is no ConfigMap absent/],
  ])('is refused for %s', async (_, name, fields, words) => {
    if (name !== 'absent') await cluster().apply([configMap(name, fields)]);
    const result = await env.run({ configMap: name });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(words);
  });

  test.concurrent('is refused where neither input nor settings name a ConfigMap', async () => {
    const result = await env.run({});
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('circuitBreaker.configMap in the settings');
  });
});

describe('closing it', () => {
  test.concurrent('puts back exactly what was there, and leaves what others changed', async () => {
    await make('closed');
    await env.run({ configMap: 'closed' });
    const patch = JSON.stringify({ data: { OTHER: 'changed since', NEW: 'added since' } });
    await cluster().kubectl('patch', 'configmap', 'closed', '--type=merge', '-p', patch);
    const opened = await generation('closed');

    const result = await env.run({ configMap: 'closed', state: 'close' });

    expect(result.outcome).toBe('rolled-back');
    expect(await values('closed')).toEqual({
      ...data,
      ...{ OTHER: 'changed since', NEW: 'added since' },
    });
    expect(await generation('closed')).toBe((opened ?? 0) + 1);
    expect((await env.run({ configMap: 'closed', state: 'close' })).outcome).toBe('no-op');
  });

  test.concurrent('what no run has opened is no-op, or refused where it is open', async () => {
    await cluster().apply([configMap('never'), configMap('by-others', { data: keys })]);
    expect((await env.run({ configMap: 'never', state: 'close' })).outcome).toBe('no-op');
    const result = await env.run({ configMap: 'by-others', state: 'close' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('no run has opened it');
  });

  test.concurrent('is refused where somebody has changed its values since', async () => {
    await make('touched');
    await env.run({ configMap: 'touched' });
    const patch = JSON.stringify({ data: { CIRCUIT_BREAKER_THRESHOLD: '3' } });
    await cluster().kubectl('patch', 'configmap', 'touched', '--type=merge', '-p', patch);

    const result = await env.run({ configMap: 'touched', state: 'close' });

    expect(result.outcome).toBe('refused');
    expect(result.message).toContain('(CIRCUIT_BREAKER_THRESHOLD: 10 -> 3)');
    // Opened once more, it still knows what was there at first.
    await env.run({ configMap: 'touched' });
    await env.run({ configMap: 'touched', state: 'close' });
    expect(await values('touched')).toEqual(data);
  });
});

test.concurrent('what somebody else changes after the plan stays', async () => {
  await make('overtaken');
  const patch = JSON.stringify({ data: { CIRCUIT_BREAKER_ENABLED: 'maybe' } });

  const id = await env.startInterrupted(
    { configMap: 'overtaken' },
    () => cluster().kubectl('patch', 'configmap', 'overtaken', '--type=merge', '-p', patch),
    cluster(),
    'configmap/overtaken',
  );
  const waiting = await env.untilWaiting(id);

  expect(waiting.plannedAgain).toContain('CIRCUIT_BREAKER_ENABLED=maybe');
  expect(waiting.plan?.differences).toContain('CIRCUIT_BREAKER_ENABLED: maybe -> true');
  expect(await values('overtaken')).toMatchObject({ CIRCUIT_BREAKER_ENABLED: 'maybe' });
  await env.decide(id, 'reject', 'on-call');
});

describe('with the role in deploy/', () => {
  test.concurrent('all of it can be done', async () => {
    await make('allowed');
    const input = { configMap: 'allowed', context: 'allowed' };
    expect((await env.run(input)).outcome).toBe('rolled-back');
    expect((await env.run({ ...input, state: 'close' })).outcome).toBe('rolled-back');
  });

  test.concurrent('but for patch configmaps nothing changes, and the role is named', async () => {
    await make('forbidden');
    const result = await env.run({ configMap: 'forbidden', context: 'no-patch' });
    expect(result.outcome).toBe('refused');
    expect(result.message).toMatch(/may not patch configmaps in namespace.*kubernetes-role\.yaml/);
    expect(await generation('forbidden')).toBe(1);
  });
});

test.concurrent('the plan as commands opens it once, however often they are run', async () => {
  const name = 'by-hand';
  await cluster().apply([
    configMap(name, { data: { OTHER: 'stays' } }),
    deploymentManifest(name, image, { container: envFrom(name) }),
  ]);
  await cluster().rollout(name);
  const kubernetes = { namespace: cluster().namespace };
  const cli = new CommandLine({
    ROLLBACK_CONFIG: settingsFileWith(JSON.stringify({ kubernetes })),
  });
  const args = ['plan', 'circuit-breaker', 'open', '--config-map', name, '--commands'];
  const { stdout } = await cli.run(...args);

  await execa('sh', { input: stdout });
  await execa('sh', { input: stdout });

  expect(await values(name)).toEqual({ ...keys, OTHER: 'stays' });
  expect(await generation(name)).toBe(2);
  const [first] = Object.keys(keys);
  await cluster().kubectl('patch', 'configmap', name, '-p', `{"data":{"${first}":"theirs"}}`);
  const late = await execa('sh', { input: stdout, reject: false });
  expect(late.stderr).toContain('nothing more is done');
  expect(await generation(name)).toBe(2);
});
