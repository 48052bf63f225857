import { afterAll, describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { claimOwnPorts } from '../sandbox/ports.ts';
import { findServers } from '../sandbox/setup/servers.mjs';
import { temporalDevFlags } from '../sandbox/temporal-dev.ts';
import { tokenTypes } from '../src/contract/decision.ts';
import type { RunResult, RunStatus } from '../src/contract/run.ts';
import { CommandLine, nowhere, settingsFileWith } from './support/command-line.ts';
import { LoggedWorker } from './support/logged-worker.ts';
import { keyFileOf, keyOf } from './support/people.ts';
import { writeSettings } from './support/settings.ts';
import { TestCluster } from './support/cluster.ts';

const addresses = (await claimOwnPorts(2)).map((port) => `127.0.0.1:${port}`);
const [address = '', metricsAddress = ''] = addresses;
const password = 'correct-horse';
const workers: LoggedWorker[] = [];
/** Ends what was started here, the server after its workers. */
const servers: { kill(): boolean }[] = [];
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.ended('SIGKILL')));
  for (const server of servers) server.kill();
});

function start(
  variables: Record<string, string> = {},
  settingsFile = writeSettings({}),
): LoggedWorker {
  const worker = new LoggedWorker({
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: settingsFile,
    ...variables,
  });
  workers.push(worker);
  return worker;
}

function startTemporal(): void {
  const { temporal } = findServers();
  const [ip, port] = address.split(':');
  const args = ['server', 'start-dev', '--headless', `--ip=${ip}`, `--port=${port}`];
  const server = execa(temporal, [...args, ...temporalDevFlags()], { reject: false, all: false });
  servers.push(server);
}

test('a worker that comes up before Temporal says so once, and is ready once it is there', async () => {
  const worker = start();
  const told = await worker.said('cannot be reached');
  expect(told).toMatchObject({ level: 'warn', address });
  expect(told.msg).toContain('start it, or set TEMPORAL_ADDRESS; trying again every 2 s');

  startTemporal();

  await worker.said('worker is ready');
  expect(worker.log().filter(({ msg }) => msg.includes('cannot be reached'))).toHaveLength(1);
  expect(await worker.ended('SIGTERM')).toBe(0);
});

test('a worker that waits for Temporal ends when it is told to', async () => {
  const worker = start({ TEMPORAL_ADDRESS: nowhere });
  await worker.said('cannot be reached');
  expect(await worker.ended('SIGTERM')).toBe(0);
});

test('a worker with mistakes in its settings does not start, and tells all of them', async () => {
  const text = 'workr: {}\nworker: { logLevel: loud }\nservices: { api: {} }\n';
  const worker = start({}, settingsFileWith(text));
  expect(await worker.ended()).toBe(1);
  const fatal = worker
    .log()
    .map(({ level, msg }) => `${level} ${msg.replace(/^\S*:(\d+:\d+)/, '$1')}`);
  expect(fatal).toEqual(
    expect.arrayContaining([
      'fatal 1:8 workr: is not a known setting',
      expect.stringContaining('fatal 2:21 worker.logLevel: '),
      expect.stringContaining('fatal 3:18 services.api: names nothing'),
    ]),
  );
  expect(fatal).toHaveLength(3);
});

describe('a worker in service', () => {
  let worker: LoggedWorker;
  let settingsFile: string;

  test('is ready, and says where', async () => {
    settingsFile = writeSettings({
      worker: { metricsAddress, logLevel: 'debug' },
      services: {
        logged: {
          ...{ namespace: `test-worker-${process.pid}`, deployment: 'logged' },
          ...{ connectionsPerPod: 2, database: '${SECRET_URL}' },
        },
      },
    });
    worker = start({ SECRET_URL: `postgres://wakala:${password}@${nowhere}/wakala` }, settingsFile);
    expect(await worker.said('worker is ready')).toMatchObject({ address, namespace: 'default' });
  });

  test('answers Prometheus', async () => {
    const answer = await fetch(`http://${metricsAddress}/metrics`);
    expect(answer.headers.get('content-type')).toContain('text/plain');
    expect(await answer.text()).toMatch(/^temporal_\w+\{.*task_queue="rollback"/m);
  });

  test('lets no second one have its address for that, which is told by its setting', async () => {
    const second = start({}, writeSettings({ worker: { metricsAddress } }));
    expect(await second.ended()).toBe(1);
    expect(second.log()).toEqual([
      expect.objectContaining({
        ...{ level: 'fatal', msg: expect.stringContaining(`metricsAddress is ${metricsAddress}`) },
      }),
    ]);
  });

  test('logs in JSON and never a password, nor does the run that needs it', async () => {
    const cluster = new TestCluster(`test-worker-${process.pid}`);
    await execa('kubectl', ['create', 'namespace', cluster.namespace]);
    await cluster.history('logged', 2, 'wakala/api:1.0.0', 'wakala/api:2.0.0');
    const connection = await Connection.connect({ address });
    const { workflow } = new Client({ connection });
    const args = [{ deployment: 'logged', namespace: cluster.namespace, dryRun: true }];
    const handle = await workflow.start('rollbackDeployment', {
      ...{ workflowId: 'logged', taskQueue: 'rollback', args },
    });

    const { plan } = (await handle.result()) as RunResult;

    expect(plan?.warnings.join('\n')).toContain("database's free connections cannot be read");
    const history = JSON.stringify(await handle.fetchHistory());
    expect(history).not.toContain(password);
    expect(history).not.toContain(Buffer.from(password).toString('base64').slice(0, 12));
    expect(worker.log().length).toBeGreaterThan(1);
    for (const line of worker.log())
      expect(line).toMatchObject({ level: expect.any(String), time: expect.any(String) });
    expect(worker.lines.join('\n')).not.toContain(password);
    await connection.close();
    await cluster.kubectl('delete', 'namespace', cluster.namespace, '--wait=false');
  });

  test('logs who is asked and who decided, and never a token or a key', async () => {
    const cluster = new TestCluster(`test-decided-${process.pid}`);
    await execa('kubectl', ['create', 'namespace', cluster.namespace]);
    await cluster.history('decided', 1, 'wakala/api:1.0.0', 'wakala/api:2.0.0');
    const connection = await Connection.connect({ address });
    const { workflow } = new Client({ connection });
    const handle = await workflow.start('rollbackDeployment', {
      ...{ workflowId: 'decided', taskQueue: 'rollback' },
      args: [{ deployment: 'decided', namespace: cluster.namespace }],
    });
    await worker.said('Missing: 1 on-call to confirm the start');
    const { plan, runId } = await handle.query<RunStatus>('status');
    for (const person of ['cto', 'on-call'] as const) {
      const iat = Math.floor(Date.now() / 1000);
      const token = await (
        await keyOf(person)
      ).sign(tokenTypes.decision, {
        ...{ sub: person, aud: 'default/decided', run: runId, decision: 'approve' },
        ...{ digest: plan?.digest, iat, exp: iat + 60, executeBy: iat + 60 },
      });
      await handle.executeUpdate('decide', { args: [{ decision: 'approve', token }] });
    }
    await handle.result();

    await worker.said('Decision approve by cto: cto has the role cto');
    await worker.said('Decision approve by on-call: on-call approved');
    const log = worker.lines.join('\n');
    expect(log).not.toMatch(/eyJ[\w-]{8}/);
    for (const name of ['on-call', 'cto', 'worker'] as const) {
      const { d } = JSON.parse(readFileSync(keyFileOf(name), 'utf8')) as { d: string };
      expect(log).not.toContain(d);
    }
    await connection.close();
    await cluster.kubectl('delete', 'namespace', cluster.namespace, '--wait=false');
  });

  test('plans by settings that have changed since its start, and says so', async () => {
    const cluster = new TestCluster(`test-settings-${process.pid}`);
    await execa('kubectl', ['create', 'namespace', cluster.namespace]);
    await cluster.history('checked', 1, 'wakala/api:1.0.0', 'wakala/api:2.0.0');
    const connection = await Connection.connect({ address });
    const { workflow } = new Client({ connection });
    const checksIn = async (workflowId: string) => {
      const args = [{ deployment: 'checked', namespace: cluster.namespace, dryRun: true }];
      const started = { workflowId, taskQueue: 'rollback', args };
      const { plan } = (await workflow.execute('rollbackDeployment', started)) as RunResult;
      return plan?.checks.map(({ check }) => check);
    };
    expect(await checksIn('checked-before')).toEqual([]);
    const settings = parse(readFileSync(settingsFile, 'utf8')) as { services: object };
    const { namespace } = cluster;
    const checks = { smoke: { command: ['true'] } };
    const services = { checked: { namespace, deployment: 'checked', checks } };
    writeFileSync(settingsFile, stringify({ ...settings, services }));

    expect(await checksIn('checked-after')).toEqual(['smoke']);

    await worker.said('The settings have changed and count from now on\\.');
    await connection.close();
    await cluster.kubectl('delete', 'namespace', cluster.namespace, '--wait=false');
  });

  test('tells a mistake that somebody makes in its settings at once, with its place', async () => {
    const text = readFileSync(settingsFile, 'utf8');
    writeFileSync(settingsFile, `${text}\nservces: {}\n`);

    const { level, msg } = await worker.said('cannot be used');

    expect(level).toBe('warn');
    expect(msg).toMatch(/: \S+:\d+:\d+ servces: is not a known setting\. Until they are mended/);
    writeFileSync(settingsFile, text);
  });

  test('drains on SIGTERM and ends well, as an orchestrator expects', async () => {
    expect(await worker.ended('SIGTERM')).toBe(0);
    expect(worker.log().at(-1)?.msg).toBe('worker has stopped');
  });
});

test('rollback doctor does not call a worker alive that was killed a moment ago', async () => {
  const file = writeSettings({});
  const own = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'default', ROLLBACK_CONFIG: file };
  const cli = new CommandLine(own);
  const told = async () => {
    const [findings] = await cli.json<{ what: string; ok: boolean; text: string }[]>('doctor');
    return findings?.find(({ what }) => what === 'worker');
  };
  const worker = start({}, file);
  await worker.said('worker is ready');
  expect(await told()).toMatchObject({
    ...{ ok: true, text: expect.stringMatching(/^one answers; last seen: .*@\S+ \d+ s ago/) },
  });

  await worker.ended('SIGKILL');

  expect(await told()).toMatchObject({
    ok: false,
    text: expect.stringMatching(/^none answers within 5 s, .* may have died .*npm run worker$/),
  });
});

test('a worker whose cluster cannot be reached says so, and is ready for the day it can', async () => {
  const [lost, deaf] = [
    start({ KUBECONFIG: '/no/such/kubeconfig' }),
    start({ KUBECONFIG: settingsFileWith(kubeconfig(`https://${nowhere}`)) }),
  ];
  expect(await lost.said('kubeconfig')).toMatchObject({ level: 'warn' });
  expect((await deaf.said('Kubernetes')).msg).toContain(`https://${nowhere}) does not answer`);
  await Promise.all([lost.said('worker is ready'), deaf.said('worker is ready')]);
  expect(await Promise.all([lost.ended('SIGTERM'), deaf.ended('SIGTERM')])).toEqual([0, 0]);
});

function kubeconfig(server: string): string {
  return `
clusters: [{ name: far, cluster: { server: "${server}" } }]
contexts: [{ name: far, context: { cluster: far, user: me } }]
users: [{ name: me, user: { token: t } }]
current-context: far
`;
}
