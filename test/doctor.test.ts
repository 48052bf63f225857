import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  strategyAnnotation,
  surgeStrategy,
} from '../src/activities/kubernetes/deployment/annotations.ts';
import { configMap } from './support/circuit-breakers.ts';
import { CommandLine, nowhere } from './support/command-line.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { type OwnSettings, writeSettings } from './support/settings.ts';

interface Finding {
  what: string;
  ok: boolean;
  warning?: true;
  text: string;
}

const env = useRollbackEnvironment();
const databases = new TestDatabases();
const month = proto.google.protobuf.Duration.fromObject({ seconds: 30 * 86_400 });
const folder = () => mkdtempSync(join(tmpdir(), 'rollback-doctor-'));

beforeAll(async () => {
  await env.client.workflowService.updateNamespace({
    namespace: 'default',
    config: { workflowExecutionRetentionTtl: month },
  });
  await eventually('the retention counts', async () => {
    const { findings } = await doctorOf({});
    return findings.every(({ ok }) => ok);
  });
});
afterAll(() => databases.close());

/** What doctor says with these settings, and its exit code. */
async function doctorOf(
  settings: OwnSettings,
  variables: Record<string, string> = {},
  ...flags: string[]
): Promise<{ findings: Finding[]; exitCode: number | undefined }> {
  const cli = new CommandLine({
    ...{ TEMPORAL_ADDRESS: env.temporal.address, TEMPORAL_NAMESPACE: 'default' },
    ROLLBACK_CONFIG: writeSettings({
      kubernetes: { namespace: env.cluster.namespace },
      ...settings,
    }),
    ...variables,
  });
  const { stdout, exitCode } = await cli.run('doctor', '--json', ...flags);
  return { findings: JSON.parse(stdout) as Finding[], exitCode };
}

/** `✓ what`, or what is wrong with it after `!` or `✗`. */
function linesOf(findings: readonly Finding[], ...kinds: string[]): string[] {
  return findings
    .filter(({ what }) => kinds.includes(what))
    .map(({ what, ok, warning, text }) => `${ok ? '✓' : warning ? '!' : '✗'} ${what} ${text}`);
}

/** A kubeconfig in which these contexts too lead to the tests' cluster, or to `server`. */
function kubeconfigWith(name: string, server?: string): string {
  const config = parse(readFileSync(process.env.KUBECONFIG ?? '', 'utf8')) as {
    clusters: { name: string; cluster: { server: string } }[];
    contexts: { name: string; context: { cluster: string; user: string } }[];
  };
  const [[cluster], [context]] = [config.clusters, config.contexts];
  if (!cluster || !context) throw new Error('The kubeconfig has no context.');
  config.clusters.push({
    name,
    cluster: { ...cluster.cluster, server: server ?? cluster.cluster.server },
  });
  config.contexts.push({ name, context: { ...context.context, cluster: name } });
  const file = join(folder(), 'kubeconfig');
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

/** Settings that name much, and nothing of it is there. */
const nothingIsThere: OwnSettings = {
  databases: {
    shop: {
      url: `postgres://shop:geheim@${nowhere}/shop`,
      backups: { folder: '/no/backups', recovery: { base: '/no/base', wal: '/no/wal' } },
      schema: { folder: '/no/scripts' },
    },
  },
  caches: { shop: { url: `redis://${nowhere}` } },
  services: {
    shop: {
      ...{ deployment: 'no-shop', service: 'no-shop' },
      checks: { smoke: { command: ['./no-smoke.sh'] } },
    },
  },
  circuitBreaker: { configMap: 'no-config' },
  maintenance: { service: 'no-page' },
  regions: { us: { context: 'no-us' } },
};

describe('rollback doctor finds before the night what settings name and what is not there:', () => {
  let findings: Finding[];
  let exitCode: number | undefined;
  beforeAll(async () => {
    ({ findings, exitCode } = await doctorOf(nothingIsThere));
  });

  test.each([
    ['a database that does not answer', 'database', `PostgreSQL at ${nowhere} does not answer`],
    ['folders of dumps', 'backups', '/no/backups (databases.shop.backups.folder: ENOENT)'],
    ['of base backups', 'recovery', '/no/base (databases.shop.backups.recovery.base: ENOENT)'],
    ['and of WAL', 'recovery', '/no/wal (databases.shop.backups.recovery.wal: ENOENT)'],
    ['scripts of the schema', 'schema', '/no/scripts (databases.shop.schema.folder: ENOENT)'],
    ['a cache', 'cache', `Cache shop at ${nowhere} does not answer (ECONNREFUSED)`],
    ['a Deployment', 'service', 'there is no Deployment no-shop in'],
    ['the ConfigMap of the circuit breaker', 'circuit breaker', 'there is no ConfigMap no-config'],
    ['the maintenance page', 'maintenance page', 'there is no Service no-page in'],
    ['the cluster of a region', 'kubernetes', 'no context "no-us"'],
  ])('%s', (_, what, words) => {
    const lines = linesOf(findings, what).filter((line) => line.startsWith('✗'));
    expect(lines).toEqual([expect.stringContaining(words)]);
    expect(lines[0]).toMatch(/correct|mount/);
    expect(exitCode).toBe(1);
  });

  test('without a password in what it says', () => {
    expect(JSON.stringify(findings)).not.toContain('geheim');
  });

  test('and what a region lacks does not hide what is held elsewhere', () => {
    expect(linesOf(findings, 'held')).toEqual(['✓ held nothing']);
  });

  test('but where no worker is, what only workers need to reach is a warning', async () => {
    const { regions: _, circuitBreaker, maintenance, services, ...worker } = nothingIsThere;
    const away = { smoke: { command: ['./no-smoke.sh'] } };
    await env.cluster.deploy('there', 'wakala/api:1.0.0', 1);
    const elsewhere = await doctorOf({
      ...worker,
      services: { shop: { deployment: 'there', checks: away } },
      worker: { key: 'of-another-machine.jwk' },
    });
    const kinds = ['database', 'backups', 'recovery', 'schema', 'cache', 'check commands'];
    const lines = linesOf(elsewhere.findings, ...kinds);
    expect(lines).toHaveLength(kinds.length);
    for (const line of lines) expect(line).toMatch(/^! [a-z ]+ seen from here: /);
    expect(elsewhere.exitCode).toBe(0);
    // Of the cluster, everybody sees the same.
    const { findings: more } = await doctorOf({
      ...{ circuitBreaker, maintenance, services },
      worker: { key: 'of-another-machine.jwk' },
    });
    const ofCluster = ['service', 'circuit breaker', 'maintenance page'];
    for (const line of linesOf(more, ...ofCluster)) expect(line).toMatch(/^✗/);
  });
});

describe('rollback doctor', () => {
  test('is content with what is there, and says what it has seen', async () => {
    const name = databases.nameOf('shop');
    await databases.create(name);
    const dump = await databases.dump(name, new Date('2025-01-10T14:30:00Z'));
    const [base, wal, scripts] = [folder(), folder(), folder()];
    mkdirSync(join(base, 'monday'));
    writeFileSync(join(base, 'monday', 'backup_manifest'), '{}');
    writeFileSync(join(scripts, 'rollback_to_v41.sql'), 'select 1');
    await env.cluster.apply([configMap('breaker'), serviceOf('page', 'page')]);
    await env.cluster.deploy('page', 'wakala/api:1.0.0', 1);
    const backups = { folder: databases.folder, recovery: { base, wal } };
    const settings = {
      databases: { shop: { url: databases.url(name), backups, schema: { folder: scripts } } },
      caches: { shop: { url: process.env.REDIS_URL } },
      services: { shop: { deployment: 'page', service: 'page' } },
      circuitBreaker: { configMap: 'breaker' },
      maintenance: { service: 'page' },
      regions: { eu: { context: 'sandbox' }, us: { context: 'us' } },
    };
    const KUBECONFIG = kubeconfigWith('us');

    const { findings, exitCode } = await eventually('the page has an endpoint', async () => {
      const found = await doctorOf(settings, { KUBECONFIG });
      return found.exitCode === 0 && found.findings.every(({ ok }) => ok) && found;
    });

    expect(exitCode).toBe(0);
    const text = linesOf(findings, ...findings.map(({ what }) => what)).join('\n');
    expect(text).toContain(`✓ database shop: ${name} at ${new URL(databases.url(name)).host}`);
    expect(text).toContain(`newest ${dump}, dumps in all: 1`);
    expect(text).toContain(`${base}, newest base backup monday of`);
    expect(text).toContain(`${scripts}, scripts: 1`);
    const { namespace } = env.cluster;
    expect(linesOf(findings, 'kubernetes')).toHaveLength(3);
    // The region that is the cluster of the settings is looked at once.
    expect(linesOf(findings, 'permissions')).toEqual(
      ['sandbox', 'us'].map(
        (one) => `✓ permissions all that is needed in namespace ${namespace} of context ${one}`,
      ),
    );
  });

  test('warns of what would be in vain: no dump, no base backup, no script, nobody behind the page', async () => {
    const name = databases.nameOf('bare');
    await databases.create(name);
    await env.cluster.apply([serviceOf('silent', 'nobody')]);
    const [dumps, base, wal, scripts] = [folder(), folder(), folder(), folder()];
    writeFileSync(join(dumps, 'other_2025-01-10T14-30-00Z.dump'), '');

    const { findings, exitCode } = await doctorOf({
      databases: {
        shop: {
          url: databases.url(name),
          backups: { folder: dumps, recovery: { base, wal } },
          schema: { folder: scripts },
        },
      },
      maintenance: { service: 'silent' },
    });

    expect(linesOf(findings, 'backups', 'recovery', 'schema', 'maintenance page')).toEqual([
      expect.stringContaining(`! backups shop: ${dumps} has no dump`),
      expect.stringContaining(`! recovery shop: ${base} has no base backup`),
      expect.stringContaining(`! schema shop: ${scripts} has no script`),
      expect.stringMatching(/^! maintenance page Service silent .* has no ready endpoint/),
    ]);
    expect(exitCode).toBe(0);
  });

  test('finds an account, a database and a port that are not there', async () => {
    const { namespace } = env.cluster;
    await env.cluster.apply([serviceOf('closed', 'nobody')]);
    const { findings } = await doctorOf({
      databases: {
        unmade: { url: databases.url('no-such-database') },
        unlet: { url: databases.url('postgres', 'nobody'), maintenance: 'template1' },
        own: { url: databases.url('postgres') },
        away: { url: 'postgres://shop@localhost:1/shop' },
      },
      maintenance: { service: 'closed', port: 8443 },
    });
    const { host } = new URL(databases.url('postgres'));
    expect(linesOf(findings, 'database', 'maintenance page')).toEqual([
      expect.stringContaining(`correct databases.unmade.url (no-such-database at ${host})`),
      expect.stringContaining(`correct databases.unlet.url (postgres at ${host})`),
      expect.stringMatching(/^✗ database Database own is its own maintenance database/),
      expect.stringMatching(/^✗ database .* localhost:1 does not answer: .*ECONNREFUSED/),
      expect.stringContaining(`Service closed in ${namespace} of context sandbox has no port 8443`),
    ]);
  });

  test('knows of a region with its own worker that this one may have to reach it', async () => {
    const { findings, exitCode } = await doctorOf({
      regions: { far: { context: 'far', taskQueue: 'rollback-far' } },
    });
    expect(
      linesOf(findings, 'kubernetes', 'worker').filter((line) => !line.startsWith('✓')),
    ).toEqual([
      expect.stringMatching(/^✗ worker region far: none polls task queue rollback-far/),
      expect.stringMatching(/^! kubernetes seen from here: .* no context "far"/),
    ]);
    expect(exitCode).toBe(1);
  });

  test('finds what a run left in the cluster of a region', async () => {
    const { findings } = await doctorOf(
      { kubernetes: { context: 'no-such', namespace: await raised('far-left') }, regions },
      { KUBECONFIG: kubeconfigWith('us') },
    );
    expect(linesOf(findings, 'left behind')).toEqual([
      expect.stringMatching(/^✗ left behind .* on far-left: put it back/),
    ]);
  });

  test('does not wait for one thing after the other where nothing answers', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const names = ['one', 'two', 'three', 'four'];
    const each = (settings: object) => Object.fromEntries(names.map((name) => [name, settings]));
    const began = Date.now();

    const { findings } = await doctorOf(
      {
        databases: each({ url: `postgres://postgres@${address}/shop` }),
        caches: each({ url: `redis://${address}`, timeout: '1h' }),
        regions,
      },
      { KUBECONFIG: kubeconfigWith('us', `https://${address}`) },
    );

    expect(Date.now() - began).toBeLessThan(30_000);
    for (const socket of sockets) socket.destroy();
    silent.close();
    for (const line of linesOf(findings, 'database', 'cache')) {
      expect(line).toMatch(
        /^✗ .*(does not answer|No answer within 15 s)\b.* correct (databases|caches)\./,
      );
    }
    expect(linesOf(findings, 'kubernetes')[1]).toMatch(/^✗ .*does not answer/);
  });
});

const regions = { us: { context: 'us' } };
/** Makes a Deployment as a terminated run leaves it, in a namespace of its own, whose name it answers. */
async function raised(name: string): Promise<string> {
  const cluster = await env.anotherNamespace();
  await cluster.deploy(name, 'wakala/api:1.0.0', 1);
  const { spec } = await cluster.deployment(name);
  const run = { workflowId: 'terminated-long-ago', firstRunId: 'gone' };
  const kept = JSON.stringify({ strategy: spec?.strategy, run });
  await cluster.patch(name, {
    metadata: { annotations: { [strategyAnnotation]: kept } },
    spec: { strategy: surgeStrategy },
  });
  return cluster.namespace;
}

function serviceOf(name: string, app: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name } },
    spec: { selector: { app }, ports: [{ port: 80 }] },
  };
}
