import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { tokenTypes } from '../src/contract/decision.ts';
import { inputHash } from '../src/authority/sign-start.ts';
import { startMemo, taskQueue } from '../src/contract/run.ts';
import { eventually } from './support/eventually.ts';
import { keyOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];

/** A service's metrics; undefined is no answer that could be one. */
let errorRate: number | undefined;
const metrics: Server = createServer((_, response) => {
  response.end(JSON.stringify({ error_rate: errorRate ?? 'unknown' }));
});
await new Promise<void>((resolve) => metrics.listen(0, '127.0.0.1', resolve));
afterAll(() => void metrics.close());

const url = `http://127.0.0.1:${(metrics.address() as AddressInfo).port}/metrics`;
const env = useRollbackEnvironment({
  services: { api: { deployment: 'automatic', errorRate: { url, field: 'error_rate' } } },
  authority: {
    rules: [
      { name: 'leads', when: { targets: ['deployment/*/lead-*'] }, need: { 'team-lead': 1 } },
    ],
  },
});

interface PeopleFile {
  people: Record<string, { roles: string[]; keys: object[] }>;
  workers: object[];
}

/** Changes the people file while the worker runs; answers how to change it back. */
function changePeople(change: (people: PeopleFile) => void): () => void {
  const file = join(dirname(env.settingsFile), 'people.yaml');
  const before = readFileSync(file, 'utf8');
  const people = parse(before) as PeopleFile;
  change(people);
  writeFileSync(file, stringify(people));
  return () => writeFileSync(file, before);
}

describe('between the approval and the change', () => {
  test('a key that is taken out stops the run, which plans again and asks again', async () => {
    await env.cluster.history('lead-gone', 1, v1, v2);
    const owner = await env.occupy('lead-gone');
    const id = await env.start({ deployment: 'lead-gone', wait: '1m' });
    await env.untilWaiting(id);
    expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(true);
    const back = changePeople(({ people }) => delete people['team-lead']);
    await owner.free();

    const status = await eventually('the run asks again', async () => {
      const now = await env.status(id);
      return now.phase === 'awaiting-approval' && now.plannedAgain !== undefined ? now : undefined;
    });
    expect(status.plannedAgain).toMatch(/Approval is missing: 1 team-lead .* Nobody has key/);
    expect(await env.cluster.image('lead-gone')).toBe(v2);
    back();
    expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(true);
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('an on-call engineer who leaves takes the start of the run along', async () => {
    await env.cluster.history('left', 1, v1, v2);
    const owner = await env.occupy('left');
    const id = await env.start({ deployment: 'left', wait: '1m' });
    await env.untilPlanned(id);
    const back = changePeople(({ people }) => {
      people['on-call'] = { roles: [], keys: people['on-call']?.keys ?? [] };
    });
    await owner.free();
    await env.untilWaiting(id);
    expect(await env.cluster.image('left')).toBe(v2);
    back();
    // The run learns of it with the next decision.
    expect((await env.decide(id, 'approve', 'on-call-2')).text).toBe(
      'Nothing is missing any more.',
    );
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('a worker whose key is taken out changes nothing more', async () => {
    await env.cluster.history('unsealed', 1, v1, v2);
    const owner = await env.occupy('unsealed');
    const id = await env.start({ deployment: 'unsealed', wait: '1m' });
    await env.untilPlanned(id);
    const back = changePeople((people) => {
      people.workers = [];
    });
    await owner.free();
    const { outcome, message } = await env.result(id);
    back();
    expect({ outcome, message }).toEqual({
      outcome: 'refused',
      message: expect.stringContaining("which is no worker's"),
    });
    expect(await env.cluster.image('unsealed')).toBe(v2);
  });
});

describe('a run that a system starts', () => {
  const automatic = { deployment: 'automatic', trigger: 'automatic' };
  beforeAll(() => env.cluster.history('automatic', 1, v1, v2));

  test.each<[string, number | undefined, string]>([
    ['just 10 %', 0.1, 'api has an error rate of 10 %, more than 10 % is needed'],
    ['nothing', undefined, 'the error rate of api cannot be measured'],
  ])('waits for an on-call engineer where it measures %s', async (_, rate, words) => {
    errorRate = rate;
    const id = await env.start(automatic, undefined, 'nobody');
    const { authority } = await env.untilWaiting(id);
    expect(authority?.start).toMatchObject({
      ...{ kind: 'unsigned', why: expect.stringContaining(words) },
    });
    await env.decide(id, 'reject', 'on-call', { note: 'not that bad' });
    expect((await env.result(id)).outcome).toBe('rejected');
    expect(await env.cluster.image('automatic')).toBe(v2);
  });

  test.each([{ toRevision: 1 }, { unpause: true }, { context: 'another' }])(
    'may not say what only people decide: %j',
    async (own) => {
      errorRate = 1;
      const { type, message } = await env.failure({
        ...{ ...automatic, namespace: env.cluster.namespace, ...own },
      });
      expect(type).toBe('InvalidInput');
      expect(message).toContain(Object.keys(own)[0]);
    },
  );

  test('goes on by itself where the worker measures more than 10 % of errors', async () => {
    errorRate = 0.31;
    const id = await env.start(automatic, undefined, 'nobody');
    const { outcome, authority } = await env.result(id);
    expect(outcome).toBe('rolled-back');
    expect(authority?.start).toEqual({
      ...{ kind: 'automatic', text: 'api has an error rate of 31 %, more than 10 % is needed' },
    });
  });
});

describe('the signature of a start counts for nothing', () => {
  let started = 0;
  const input = () => ({ deployment: 'stolen', namespace: env.cluster.namespace });
  beforeAll(() => env.cluster.history('stolen', 1, v1, v2));

  /** Starts a run with a token in its memo, and answers why the start is not signed. */
  async function whyUnsigned(token: (workflowId: string) => unknown): Promise<string> {
    const workflowId = `stolen-${++started}`;
    await env.client.workflow.start('rollbackDeployment', {
      ...{ workflowId, taskQueue, args: [input()], memo: { [startMemo]: await token(workflowId) } },
    });
    const { authority } = await env.untilWaiting(workflowId);
    await env.decide(workflowId, 'reject', 'on-call', { note: 'not mine' });
    await env.result(workflowId);
    expect(await env.cluster.image('stolen')).toBe(v2);
    return authority?.start.kind === 'unsigned' ? authority.start.why : '';
  }

  async function signed(workflowId: string, own: object = {}): Promise<string> {
    const aud = `default/${workflowId}`;
    return (await keyOf('on-call')).sign(tokenTypes.start, {
      ...{ sub: 'on-call', aud, input: inputHash('rollbackDeployment', input()) },
      ...{ iat: Math.floor(Date.now() / 1000), ...own },
    });
  }

  test.each<[string, (id: string) => unknown, string]>([
    ['for another run', () => signed('other'), 'It is for run "default/other"'],
    [
      'for another input',
      (id) => signed(id, { input: inputHash('rollbackDeployment', {}) }),
      'It is for another input',
    ],
    [
      'for another procedure',
      (id) => signed(id, { input: inputHash('rollbackHelmRelease', input()) }),
      'another procedure',
    ],
    [
      'that is five minutes old',
      (id) => signed(id, { iat: Math.floor(Date.now() / 1000) - 300 }),
      'It was signed 300 s away',
    ],
    ['that has no time', (id) => signed(id, { iat: undefined }), 'does not say when it was signed'],
    ['that is a number', () => 7, 'The signature of the token is wrong'],
    [
      'that is cut off',
      (id) => signed(id).then((token) => token.slice(0, -9)),
      'signature of the token is wrong',
    ],
  ])('%s', async (_, token, words) => {
    expect(await whyUnsigned(token)).toContain(words);
  });

  test('of somebody who may not start', async () => {
    await env.cluster.history('chief', 1, v1, v2);
    const id = await env.start({ deployment: 'chief' }, undefined, 'cto');
    expect((await env.untilWaiting(id)).authority).toMatchObject({
      ...{ start: { kind: 'signed', by: 'cto' }, missing: '1 on-call to confirm the start' },
    });
    await env.decide(id, 'approve', 'on-call');
    const { outcome, requestedBy } = await env.result(id);
    expect({ outcome, requestedBy }).toEqual({ outcome: 'rolled-back', requestedBy: 'cto' });
  });
});
