import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { makeKey, SigningKey } from '../src/authority/private-key.ts';
import { tokenTypes, type DecisionClaims } from '../src/contract/decision.ts';
import type { RunStatus } from '../src/contract/run.ts';
import { eventually } from './support/eventually.ts';
import { keyFileOf, keyOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const env = useRollbackEnvironment({
  authority: { rules: [{ name: 'leads', need: { 'team-lead': 1 } }] },
});
const seconds = () => Math.floor(Date.now() / 1000);

/** A run that waits for a team lead, and must wait on. */
let victim: string;
let waiting: RunStatus;
/** What only the team lead could sign. */
let onlyLead: DecisionClaims;

beforeAll(() => env.cluster.history('victim', 1, v1, v2));
beforeEach(async () => {
  victim = await env.start({ deployment: 'victim' });
  waiting = await env.untilWaiting(victim);
  const iat = seconds();
  onlyLead = {
    ...{ sub: 'team-lead', aud: `default/${victim}`, run: waiting.runId, decision: 'approve' },
    ...{ digest: waiting.plan?.digest ?? '', iat, exp: iat + 600, executeBy: iat + 600, jti: 'j' },
  };
});

function base64(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString(
    'base64url',
  );
}

/** Signs anything the way HS256 does. */
function withSecret(header: object, claims: object, secret: string): string {
  const signed = `${base64(header)}.${base64(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

async function expectStillWaiting(): Promise<void> {
  const { phase, authority } = await env.status(victim);
  expect({ phase, granted: authority?.granted }).toEqual({
    ...{ phase: 'awaiting-approval', granted: false },
  });
  expect(await env.cluster.image('victim')).toBe(v2);
}

/** Sends the token as update and as signal; neither may count, both must leave a record. */
async function expectRefused(token: unknown, words: string | RegExp): Promise<void> {
  const before = (await env.status(victim)).authority?.refused ?? 0;

  const answer = await env.send(victim, { decision: 'approve', token });
  await env.client.workflow.getHandle(victim).signal('approve', { token });

  expect(answer.counted).toBe(false);
  expect(answer.text).toMatch(words);
  await eventually('both are recorded', async () => {
    return ((await env.status(victim)).authority?.refused ?? 0) >= before + 2;
  });
  await expectStillWaiting();
}

describe('a decision does not count', () => {
  test('without a token, or with something that is none', async () => {
    for (const token of [undefined, 123, '', 'a.b.c', 'yes', { verified: true }, null]) {
      await expectRefused(token, 'needs a signed token');
    }
    for (const message of [undefined, null, 'approve', 7, [], { verified: true }]) {
      expect((await env.send(victim, message)).counted).toBe(false);
      await env.client.workflow.getHandle(victim).signal('approve', message);
    }
    await expectStillWaiting();
  });

  test('with claims that are no words, or in an encoding that nobody knows', async () => {
    const stranger = await SigningKey.of(await makeKey('team-lead'));
    for (const sub of [{ toString: null }, { toJSON: 'no' }, ['team-lead'], null, 7]) {
      const token = await stranger.sign(tokenTypes.decision, { ...onlyLead, sub });
      await expectRefused(token, 'lacks claims that a decision must have');
    }
    const handle = env.client.workflow.getHandle(victim);
    const before = (await env.status(victim)).authority?.refused ?? 0;
    for (const encoding of ['binary/encrypted', 'json/plain', '\u0000']) {
      await env.client.workflowService.signalWorkflowExecution({
        ...{ namespace: 'default', workflowExecution: { workflowId: victim } },
        signalName: 'approve',
        input: {
          payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from('{') }],
        },
      });
    }
    await eventually('the run has looked at them', async () => {
      return ((await env.status(victim)).authority?.refused ?? 0) >= before + 3;
    });
    await handle.signal('nobody-knows-this-signal', {});
    await expectStillWaiting();
    expect((await env.decide(victim, 'approve', 'team-lead')).counted).toBe(true);
    expect((await env.result(victim)).outcome).toBe('rolled-back');
    await env.cluster.release('victim', v2);
  });

  test('with a header that says that no signature is needed', async () => {
    for (const alg of ['none', 'None', '', undefined]) {
      const token = `${base64({ alg, typ: tokenTypes.decision })}.${base64(onlyLead)}.`;
      await expectRefused(token, 'needs a signed token');
    }
  });

  test('with the public key as the secret of another algorithm', async () => {
    const { x, kid } = JSON.parse(readFileSync(keyFileOf('team-lead'), 'utf8')) as {
      x: string;
      kid: string;
    };
    for (const alg of ['HS256', 'EdDSA']) {
      const header = { alg, typ: tokenTypes.decision, kid };
      await expectRefused(withSecret(header, onlyLead, x), 'needs a signed token');
    }
  });

  test('signed with a key that nobody has, or in the name of somebody else', async () => {
    const stranger = await SigningKey.of(await makeKey('team-lead'));
    await expectRefused(
      await stranger.sign(tokenTypes.decision, onlyLead),
      /Nobody has key .*not in the people file/,
    );
    const onCall = await keyOf('on-call-2');
    await expectRefused(
      await onCall.sign(tokenTypes.decision, onlyLead),
      'The key is on-call-2\'s, but the token says "team-lead"',
    );
  });

  test('with one letter of it changed', async () => {
    const token = await env.token(victim, 'approve', 'team-lead');
    const [header, claims, signature = ''] = token.split('.');
    const other = signature.startsWith('A') ? 'B' : 'A';
    const changed = `${header}.${claims}.${other}${signature.slice(1)}`;
    await expectRefused(changed, 'signature of the token is wrong');
    const rejected = base64({ ...onlyLead, note: 'added' });
    await expectRefused(`${header}.${rejected}.${signature}`, 'signature of the token is wrong');
  });

  test('from somebody without the role, and from whoever asked for the run', async () => {
    for (const person of ['on-call-2', 'cto'] as const) {
      const token = await env.token(victim, 'approve', person);
      await expectRefused(token, new RegExp(`${person} has .*missing: 1 team-lead`));
    }
    const own = await env.token(victim, 'approve', 'on-call');
    await expectRefused(own, 'on-call asked for this run, so somebody else must approve it');
  });

  test.each<[string, Partial<DecisionClaims>, string]>([
    ['another run', { aud: 'default/another' }, 'is for run "default/another"'],
    ['another namespace', { aud: 'other/victim' }, 'is for run "other/victim"'],
    ['an earlier run with this id', { run: randomUUID() }, 'another run with the same workflow id'],
    ['another plan', { digest: 'f'.repeat(64) }, 'is for plan "ffffffffffff"'],
    ['a rejection', { decision: 'reject' }, 'says "reject", the message approve'],
    ['a past that is over', { iat: 0, exp: 600, executeBy: 600 }, 'expired'],
    ['a day too long', { executeBy: seconds() + 25 * 3600 }, 'valid for too long'],
    ['an hour too long', { exp: seconds() + 2 * 3600 }, 'valid for too long'],
    ['the future', { iat: seconds() + 300, exp: seconds() + 900 }, 's in the future'],
    ['no time at all', { exp: undefined }, 'lacks claims'],
    ['a time that is none', { exp: Number.MAX_VALUE }, 'lacks claims'],
  ])('with a good signature for %s', async (_, claims, words) => {
    await expectRefused(await env.token(victim, 'approve', 'team-lead', claims), words);
  });

  test('as a token of another purpose, by the right person', async () => {
    const lead = await keyOf('team-lead');
    for (const type of [tokenTypes.start, tokenTypes.seal]) {
      await expectRefused(await lead.sign(type, onlyLead), 'was made for another purpose');
    }
  });

  test('about a step of a run that is paused at none', async () => {
    for (const decision of ['retry', 'skip', 'abort'] as const) {
      const token = await env.token(victim, decision, 'team-lead');
      const answer = await env.send(victim, { decision, token, step: 'Any', attempt: 1 });
      expect(answer).toEqual({ counted: false, text: 'The run is not paused at a step.' });
    }
  });

  test('the more often it comes, and only the first few are kept; the right one still counts', async () => {
    const onCall = await env.token(victim, 'approve', 'on-call-2');
    for (let times = 0; times < 30; times++) {
      await env.send(victim, { decision: 'approve', token: onCall.replace(/\.[^.]/g, '._') });
    }
    const { authority } = await env.status(victim);
    expect(authority?.decisions).toHaveLength(20);
    expect(JSON.stringify(await env.status(victim))).not.toMatch(/eyJ[\w-]{20}/);

    const token = await env.token(victim, 'approve', 'team-lead', { note: 'looked at it' });
    const answer = await env.send(victim, { decision: 'approve', token });
    expect(answer.counted).toBe(true);
    const result = await env.result(victim);
    expect(result.outcome).toBe('rolled-back');
    expect(result.authority?.decisions.at(-1)).toMatchObject({
      ...{ decision: 'approve', by: 'team-lead', counted: true, note: 'looked at it' },
    });
    // Too late, and about a run that is over.
    expect((await env.send(victim, { decision: 'approve', token })).text).toContain('has ended');
  });
});
