/** The settings for other systems of feature flags that are shipped, each against a server that answers as they do. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { repository } from '../sandbox/setup/folders.mjs';
import { FlagSystem, type ReadFlag } from '../src/activities/features/system.ts';
import { loadSettings } from '../src/config/settings.ts';

/** One flag named `flow`, as the system under test has it, and the last change that it took. */
let answer: unknown;
let changed: { request: string; type?: string; body: unknown } | undefined;
const token = 'a-token-of-the-api';

const server = createServer((request, response) => {
  void bodyOf(request).then((body) => {
    const { method, url = '', headers } = request;
    const { authorization = headers['x-environment-key'], 'content-type': type } = headers;
    if (!String(authorization).endsWith(token)) return response.writeHead(401).end('{}');
    if (!/flow|feature=6/.test(url)) return response.writeHead(404).end('{}');
    if (method !== 'GET') changed = { request: `${method} ${url}`, type, body };
    response.writeHead(200).end(method === 'GET' ? JSON.stringify(answer) : '');
  });
});
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => void server.close());

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? undefined : JSON.parse(text);
}

/** The shipped settings of a system, with the server above as its own. */
function load(name: string): FlagSystem {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const upper = name.toUpperCase();
  for (const kind of ['API_TOKEN', 'CLIENT_TOKEN', 'SDK_KEY'])
    process.env[`${upper}_${kind}`] = token;
  const environment = { [`${upper}_URL`]: url, FLAGSMITH_ENVIRONMENT: 'flow-environment' };
  const file = join(repository, 'deploy', 'features', `${name}.yaml`);
  return new FlagSystem(loadSettings(file, environment), undefined);
}

/** Changes the flag as a step does that nobody cancels. */
function change(system: FlagSystem, by: 'off' | 'percentage', found: ReadFlag): Promise<void> {
  return system.change('flow', half, by, found, new AbortController().signal);
}

const half = { enabled: true, percentage: 50 };

test('LaunchDarkly: a semantic patch, and weights in thousandths of a percent', async () => {
  const system = load('launchdarkly');
  const rollout = {
    variations: [
      { variation: 0, weight: 80_000 },
      { variation: 1, weight: 20_000 },
    ],
  };
  answer = {
    variations: [
      { _id: 'id-of-true', value: true },
      { _id: 'id-of-false', value: false },
    ],
    environments: { production: { on: true, rules: [], targets: [], fallthrough: { rollout } } },
  };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 80 });

  await change(system, 'off', found);
  expect(changed).toEqual({
    request: 'PATCH /api/v2/flags/default/flow',
    type: 'application/json; domain-model=launchdarkly.semanticpatch',
    body: { environmentKey: 'production', instructions: [{ kind: 'turnFlagOff' }] },
  });
  await change(system, 'percentage', found);
  expect(changed?.body).toMatchObject({
    instructions: [
      {
        kind: 'updateFallthroughVariationOrRollout',
        rolloutWeights: { 'id-of-true': 50_000, 'id-of-false': 50_000 },
      },
    ],
  });
  // The very weight, though it is no round number in floating point.
  const uneven = { enabled: true, percentage: 80.123 };
  await system.change('flow', uneven, 'percentage', found, new AbortController().signal);
  expect(changed?.body).toMatchObject({
    instructions: [{ rolloutWeights: { 'id-of-true': 80_123, 'id-of-false': 19_877 } }],
  });
});

test('LaunchDarkly: rules, or a default rule without a rollout, are no share that could go down', async () => {
  const system = load('launchdarkly');
  const variations = [{ value: true }, { value: false }];
  const rollout = { variations: [{ variation: 0, weight: 100_000 }] };
  const production = { on: true, rules: [], targets: [], fallthrough: { rollout } };
  const read = async (other: object) => {
    answer = { variations, environments: { production: { ...production, ...other } } };
    return system.read('flow');
  };
  expect((await read({}))?.state.percentage).toBe(100);
  expect((await read({ fallthrough: { variation: 1 } }))?.state).toEqual({
    ...{ enabled: true, percentage: null },
  });
  expect((await read({ rules: [{ clauses: [] }] }))?.noShare).toBe(
    'environments.production.rules.length is 1 and not 0',
  );
});

test('Unleash: a switch of the environment, and a text in its strategy', async () => {
  const system = load('unleash');
  const gradual = { id: 'id-1', name: 'flexibleRollout', parameters: { rollout: '25' } };
  answer = { enabled: true, strategies: [gradual] };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 25 });
  const path = '/api/admin/projects/default/features/flow/environments/production';

  await change(system, 'off', found);
  expect(changed).toEqual({ request: `POST ${path}/off` });
  await change(system, 'percentage', found);
  expect(changed).toMatchObject({
    request: `PATCH ${path}/strategies/id-1`,
    body: [{ op: 'replace', path: '/parameters/rollout', value: '50' }],
  });
  expect(await system.read('other')).toBeUndefined();
  expect((await system.readPublic('flow'))?.state.percentage).toBe(25);
  // One of several is enough to have the flag, and one that is not gradual has no share.
  for (const strategies of [[gradual, { name: 'userWithId' }], [{ name: 'default' }]]) {
    answer = { enabled: true, strategies };
    expect((await system.read('flow'))?.state).toEqual({ enabled: true, percentage: null });
  }
});

test('Flagsmith: the state of the feature in its environment', async () => {
  const system = load('flagsmith');
  answer = { results: [{ id: 77, enabled: true }] };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 100 });

  await change(system, 'off', found);
  expect(changed).toMatchObject({
    request: 'PATCH /api/v1/environments/flow-environment/featurestates/77/',
    body: { enabled: false },
  });
  const override = { enabled: true, feature_segment: { segment: 3 } };
  answer = { results: [{ id: 77, enabled: true, environment: 5, feature: 6 }, override] };
  const listed = (await system.read('flow')) as ReadFlag;
  expect(await system.readOverrides('flow', listed)).toContain('1 override keeps feature flow on');
  answer = { results: [] };
  await expect(system.read('flow')).rejects.toThrow(/no true or false at results\.0\.enabled/);
  await expect(change(system, 'percentage', found)).rejects.toThrow(
    /add features\.flagsmith\.percentage/,
  );
});
