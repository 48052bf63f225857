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
    const { authorization = '', 'content-type': type } = headers;
    if (!authorization.endsWith(token)) return response.writeHead(401).end('{}');
    if (!url.includes('flow')) return response.writeHead(404).end('{}');
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
  process.env[`${upper}_API_TOKEN`] = token;
  const environment = { [`${upper}_URL`]: url, FLAGSMITH_ENVIRONMENT: 'flow-environment' };
  const file = join(repository, 'deploy', 'features', `${name}.yaml`);
  return new FlagSystem(loadSettings(file, environment), undefined);
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
    variations: [{ _id: 'id-of-true' }, { _id: 'id-of-false' }],
    environments: { production: { on: true, fallthrough: { rollout } } },
  };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 80 });

  await system.change('flow', half, 'off', found);
  expect(changed).toEqual({
    request: 'PATCH /api/v2/flags/default/flow',
    type: 'application/json; domain-model=launchdarkly.semanticpatch',
    body: { environmentKey: 'production', instructions: [{ kind: 'turnFlagOff' }] },
  });
  await system.change('flow', half, 'percentage', found);
  expect(changed?.body).toMatchObject({
    instructions: [
      {
        kind: 'updateFallthroughVariationOrRollout',
        rolloutWeights: { 'id-of-true': 50_000, 'id-of-false': 50_000 },
      },
    ],
  });
  answer = { environments: { production: { on: true, fallthrough: { variation: 0 } } } };
  expect((await system.read('flow'))?.state).toEqual({ enabled: true, percentage: 100 });
});

test('Unleash: a switch of the environment, and a text in its strategy', async () => {
  const system = load('unleash');
  answer = { enabled: true, strategies: [{ id: 'id-1', parameters: { rollout: '25' } }] };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 25 });
  const path = '/api/admin/projects/default/features/flow/environments/production';

  await system.change('flow', half, 'off', found);
  expect(changed).toEqual({ request: `POST ${path}/off` });
  await system.change('flow', half, 'percentage', found);
  expect(changed).toMatchObject({
    request: `PATCH ${path}/strategies/id-1`,
    body: [{ op: 'replace', path: '/parameters/rollout', value: '50' }],
  });
  expect(await system.read('other')).toBeUndefined();
});

test('Flagsmith: the state of the feature in its environment', async () => {
  const system = load('flagsmith');
  answer = { results: [{ id: 77, enabled: true }] };
  const found = (await system.read('flow')) as ReadFlag;
  expect(found.state).toEqual({ enabled: true, percentage: 100 });

  await system.change('flow', half, 'off', found);
  expect(changed).toMatchObject({
    request: 'PATCH /api/v1/environments/flow-environment/featurestates/77/',
    body: { enabled: false },
  });
  answer = { results: [] };
  await expect(system.read('flow')).rejects.toThrow(/no true or false at results\.0\.enabled/);
  await expect(system.change('flow', half, 'percentage', found)).rejects.toThrow(
    /add features\.flagsmith\.percentage/,
  );
});
