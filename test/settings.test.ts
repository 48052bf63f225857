import { afterAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadSettings, settingsFile, SettingsError } from '../src/config/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'rollback-settings-'));
const file = join(folder, 'rollback.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

/** The settings that `text` makes, with nothing but `environment` around them. */
function load(text: string, environment: NodeJS.ProcessEnv = {}) {
  writeFileSync(file, text);
  return loadSettings(file, environment).settings;
}

/** What is said about `text`, a line each, without the file's own path. */
function mistakes(text: string, environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    load(text, environment);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.message.split('\n').map((line) => line.replace(`${file}:`, ''));
  }
  throw new Error('The settings were accepted.');
}

describe('wrong settings', () => {
  test('are told all at once, each with its place, so that they are mended in one go', () => {
    const found = mistakes(`kubernetes:
  namespace: Production
  contxt: prod
  clustr: eu
services:
  api:
    checks:
      health:
        url: ftp://example.com
        requests: none
      smoke:
        command: []
        timeout: 5 minutes
aliases:
  api: deployment api
worker:
  metricsAddress: everywhere
  logLevel: loud
`);
    expect(found).toEqual([
      expect.stringMatching(/^2:14 kubernetes\.namespace: is not a Kubernetes namespace/),
      '3:11 kubernetes.contxt: is not a known setting',
      '4:11 kubernetes.clustr: is not a known setting',
      '9:14 services.api.checks.health.url: is not an http or https address',
      expect.stringMatching(/^10:19 services\.api\.checks\.health\.requests: .*number/),
      expect.stringMatching(/^12:18 services\.api\.checks\.smoke\.command: /),
      '13:18 services.api.checks.smoke.timeout: is not a duration such as 500ms, 30s or 5m',
      expect.stringMatching(/^15:8 aliases\.api: .*array/),
      '17:19 worker.metricsAddress: is not an address such as 127.0.0.1:9464',
      expect.stringMatching(/^18:13 worker\.logLevel: .*"debug"\|"info"/),
    ]);
  });

  test('a service that consists of nothing could never be found, and is told', () => {
    expect(mistakes('services:\n  api: {}\n')).toEqual([
      expect.stringMatching(/^2:8 services\.api: names nothing that it consists of/),
    ]);
  });

  test('a database may be called as databases are, and a name that may not be is told with what may', () => {
    const url = 'postgres://a/b';
    const settings = load(`databases: { shop_v2: { url: '${url}' } }`);
    expect(Object.keys(settings.databases)).toEqual(['shop_v2']);
    expect(mistakes(`databases:\n  Shop 2: { url: '${url}' }\n`)).toEqual([
      '2:11 databases.Shop 2: is not a name of a database in the settings (lower-case letters, digits, -, _ and .)',
    ]);
  });

  test('of caches and features keep secrets out of the file, and name each other rightly', () => {
    const found = mistakes(`caches:
  two: { url: redis://a, cluster: [redis://b] }
  http: { url: http://a }
  slash: { url: redis://a/2/ }
features:
  flags:
    headers: { authorization: Bearer abc }
    source: { url: 'https://user:abc@example.com/{name}' }
    off: { url: 'https://example.com/{name}' }
    on: { url: 'https://example.com/{name}' }
`);
    expect(found).toEqual([
      '2:8 caches.two: needs exactly one of url, sentinel and cluster',
      expect.stringMatching(/^3:16 caches\.http\.url: is not an address such as redis:/),
      expect.stringMatching(/^4:17 caches\.slash\.url: .*number of a database/),
      expect.stringMatching(/^7:31 features\.flags\.headers\.authorization: is a secret: write/),
      '8:20 features.flags.source.url: has credentials in it: they belong into headers',
    ]);
    expect(found.join()).not.toContain('abc');
    const literal =
      'caches: { one: { url: redis://:abc@a }, two: { url: redis://a, password: abc } }';
    const passwords = mistakes(literal);
    expect(passwords).toEqual([
      expect.stringMatching(/^1:23 there is a password: write \$\{NAME\}/),
      expect.stringMatching(/^1:7\d there is a password/),
    ]);
    expect(passwords.join()).not.toContain('abc');
    const url = 'https://example.com/{name}';
    const flags = { source: { url }, off: { url }, on: { url }, cache: { name: 'x', keys: ['a'] } };
    expect(mistakes(JSON.stringify({ features: { flags } }))).toEqual([
      expect.stringContaining('features.flags.cache.name: names x, which is no cache here'),
    ]);
    const shares = { ...flags, cache: undefined, percentage: { url } };
    expect(mistakes(JSON.stringify({ features: { shares } }))).toEqual([
      expect.stringContaining('features.shares.percentage: changes a share that is read nowhere'),
    ]);
  });

  test('that are no YAML are told with the place where it breaks', () => {
    const found = mistakes('services:\n  api: [deployment\naliases: {}\n');
    expect(found[0]).toMatch(/^[23]:\d+ .*flow/i);
  });

  test('that name a setting twice are not half ignored', () => {
    expect(mistakes('worker: {}\nservices: {}\nworker: {}\n')).toEqual([
      expect.stringMatching(/^3:1 Map keys must be unique/),
    ]);
  });

  test('that are a list or a word are told as such', () => {
    expect(mistakes('- services\n')).toEqual([expect.stringMatching(/^1:1 settings: .*object/)]);
    expect(mistakes('services\n')).toEqual([expect.stringMatching(/^1:1 settings: .*object/)]);
  });

  test('that are not there are told with the file and where another is named', () => {
    const missing = join(folder, 'nowhere.yaml');
    expect(() => loadSettings(missing, {})).toThrow(
      `The settings file ${missing} is not there: name another with ROLLBACK_CONFIG`,
    );
  });

  test('that cannot be read, a folder for instance, are told with the reason', () => {
    expect(() => loadSettings(folder, {})).toThrow(/EISDIR/);
  });
});

describe('the environment', () => {
  const text = 'services:\n  api:\n    deployment: api\n    database: ${URL}\n';

  test('fills in values, in the middle of a text as well', () => {
    const { services } = load(
      'services: { api: { deployment: "${NAME}-api", checks: { health: { url: "http://${HOST}:${PORT:-80}/health" } } } }',
      { NAME: 'wakala', HOST: 'localhost' },
    );
    expect(services.api?.deployment).toBe('wakala-api');
    expect(services.api?.checks.health?.url).toBe('http://localhost:80/health');
  });

  test('that lacks a variable stops the start, with every one that is missing', () => {
    expect(mistakes(`${text}    namespace: \${SPACE}\n`)).toEqual([
      '4:15 the environment variable URL is not set: set it, or write ${URL:-fallback}',
      '5:16 the environment variable SPACE is not set: set it, or write ${SPACE:-fallback}',
    ]);
    expect(mistakes(text, { URL: '' })).toHaveLength(1);
  });

  test('gives way to a fallback only where a variable is not set or empty', () => {
    const withFallback = text.replace('${URL}', '${URL:-postgres://localhost/wakala}');
    const database = (environment: NodeJS.ProcessEnv) =>
      load(withFallback, environment).services.api?.database;
    expect(database({})).toBe('postgres://localhost/wakala');
    expect(database({ URL: '' })).toBe('postgres://localhost/wakala');
    expect(database({ URL: 'postgres://db/wakala' })).toBe('postgres://db/wakala');
  });

  test('cannot put YAML of its own, nor other variables, into the settings', () => {
    const url = 'x\n  other: { deployment: evil }\n  ${SECRET}';
    const { services } = load(text, { URL: url, SECRET: 'hidden' });
    expect(services).toMatchObject({ api: { deployment: 'api', database: url } });
    expect(Object.keys(services)).toEqual(['api']);
  });

  test('never shows in a message what a secret is', () => {
    const found = mistakes('worker: { metricsAddress: "${SECRET}", logLevel: "${SECRET}" }', {
      SECRET: 'hunter2',
    });
    expect(found).toHaveLength(2);
    expect(found.join('\n')).not.toContain('hunter2');
  });

  test('says where the settings are, else they are in the current folder', () => {
    expect(settingsFile({ ROLLBACK_CONFIG: '/etc/rollback.yaml' })).toBe('/etc/rollback.yaml');
    expect(settingsFile({ ROLLBACK_CONFIG: '' })).toBe(resolve('rollback.yaml'));
  });
});

describe('what is left out', () => {
  test('is nothing that stops a first try: empty settings do', () => {
    expect(load('')).toEqual({
      kubernetes: { namespace: 'default' },
      regions: {},
      caches: {},
      databases: {},
      features: {},
      services: {},
      maintenance: { port: 80 },
      helm: { command: 'helm', timeout: 300_000, abandonedAfter: 600_000 },
      owners: {
        argoCd: { namespace: 'argocd' },
        flux: { namespace: 'flux-system' },
        remindEvery: 3_600_000,
      },
      circuitBreaker: {
        open: {
          ...{ CIRCUIT_BREAKER_ENABLED: 'true', CIRCUIT_BREAKER_THRESHOLD: '10' },
          CIRCUIT_BREAKER_TIMEOUT: '60',
        },
      },
      aliases: {},
      worker: { logLevel: 'info' },
      authority: {
        people: 'people.yaml',
        startedBy: ['on-call'],
        unsignedStart: 'confirm',
        automaticAbove: 0.1,
        // The runbook's own rules, for whoever has none.
        rules: [
          expect.objectContaining({ name: 'database changes', need: { 'team-lead': 1 } }),
          expect.objectContaining({ name: 'more than one region', need: { cto: 1 } }),
        ],
        contacts: ['on-call', 'team-lead', 'cto'],
        decisionTimeout: 1_800_000,
        retriesToldAfter: 120_000,
        remindAfter: [300_000, 600_000],
        approvalTimeout: 3_600_000,
      },
    });
  });

  test('of a check has values that fit a service, in milliseconds', () => {
    const { services } = load(
      'services: { api: { deployment: api, checks: { health: { url: "http://h/", every: 2s }, smoke: { command: [./s] } } } }',
    );
    expect(services.api?.checks).toEqual({
      health: {
        ...{ url: 'http://h/', requests: 5, maxFailed: 0, timeout: 3000 },
        ...{ retries: 3, every: 2000, limit: 60_000 },
      },
      smoke: { command: ['./s'], timeout: 60_000, retries: 3, every: 1000, limit: 60_000 },
    });
  });
});

test('the shipped example is valid as it is, with nothing set, and commands start from its folder', () => {
  const shipped = resolve(import.meta.dirname, '../rollback.yaml');
  const loaded = loadSettings(shipped, {});
  expect(loaded.folder).toBe(resolve(import.meta.dirname, '..'));
  expect(Object.keys(loaded.settings.services['wakala-api']?.checks ?? {})).toEqual([
    'health',
    'logs',
    'smoke',
  ]);
  expect(loaded.settings.aliases.api?.slice(0, 2)).toEqual(['deployment', 'wakala-api']);
});
