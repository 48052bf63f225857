import { beforeAll, describe, expect, test } from '@jest/globals';
import type { DecisionClaims } from '../src/contract/decision.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
/** A rule for the Deployments whose names begin so. */
const rule = (name: string, need: Record<string, number>) => ({
  ...{ name, when: { targets: [`deployment/*/${name}-*`] }, need },
});
const env = useRollbackEnvironment({
  authority: {
    rules: [
      rule('lead', { 'team-lead': 1 }),
      rule('pair', { 'on-call': 2 }),
      rule('lead-cto', { cto: 1 }),
    ],
    breakGlass: { for: ['team-lead'], standIn: 'on-call', count: 2, after: '5s' },
    remindAfter: ['300ms', '600ms'],
  },
});

/** A Deployment at v2 whose rollback waits; answers the id of the run. */
async function waitingRun(name: string, input: object = {}, as?: 'nobody'): Promise<string> {
  await env.cluster.history(name, 1, v1, v2);
  const id = await env.start({ deployment: name, ...input }, undefined, as);
  await env.untilWaiting(id);
  return id;
}

test('a second run that waits for the same names the first, so that nobody approves both', async () => {
  const first = await waitingRun('lead-twice');
  await eventually('the first is listed', async () => {
    const query = `WorkflowId = '${first}' AND RollbackPhase = 'awaiting-approval'`;
    return (await env.client.workflow.count(query)).count === 1;
  });
  const second = await env.start({ deployment: 'lead-twice' });
  const { plan } = await env.untilWaiting(second);
  expect(plan?.warnings[0]).toContain(`Run ${first} waits for approval of a change of the same`);
  await Promise.all(
    [first, second].map((id) => env.decide(id, 'reject', 'team-lead', { note: 'both of them' })),
  );
});

describe('a run that nobody signed', () => {
  test('waits for an on-call engineer, who counts as having asked for it from then on', async () => {
    const id = await waitingRun('pair-unsigned', { requestedBy: 'somebody' }, 'nobody');
    const { authority } = await env.status(id);
    expect(authority?.start).toEqual({ kind: 'unsigned', why: 'started unsigned' });
    expect(authority?.missing).toBe(
      `1 on-call to confirm the start; 2 on-call (pair: it changes deployment/${env.cluster.namespace}/pair-unsigned (deployment/template))`,
    );
    expect((await env.decide(id, 'approve', 'cto')).text).toContain('cto has the role cto');

    expect((await env.decide(id, 'approve', 'on-call')).counted).toBe(true);
    expect((await env.status(id)).authority?.requester).toBe('on-call');
    expect(await env.decide(id, 'approve', 'on-call')).toEqual({
      ...{ counted: false, text: 'on-call has approved already, and a person counts once.' },
    });
    expect((await env.decide(id, 'approve', 'on-call-2')).text).toContain(
      'missing: 1 more on-call',
    );
    expect(await env.cluster.image('pair-unsigned')).toBe(v2);
    expect((await env.decide(id, 'approve', 'on-call-3')).counted).toBe(true);

    const result = await env.result(id);
    expect(result).toMatchObject({ outcome: 'rolled-back', requestedBy: 'on-call' });
    expect(result.authority?.needs.map(({ by }) => by)).toEqual([
      ['on-call'],
      ['on-call-2', 'on-call-3'],
    ]);
  });
});

test('two of three means two people, and not the one who asks', async () => {
  const id = await waitingRun('pair-signed');
  expect((await env.decide(id, 'approve', 'on-call')).text).toContain('on-call asked for this run');
  expect((await env.decide(id, 'approve', 'on-call-2')).counted).toBe(true);
  expect((await env.decide(id, 'approve', 'on-call-2')).text).toContain('a person counts once');
  expect((await env.status(id)).phase).toBe('awaiting-approval');
  expect((await env.decide(id, 'approve', 'on-call-3')).counted).toBe(true);
  expect((await env.result(id)).outcome).toBe('rolled-back');
});

test('rules add up: the lead and the CTO, in whichever order', async () => {
  const id = await waitingRun('lead-cto-both');
  expect((await env.decide(id, 'approve', 'cto')).text).toMatch(/still missing: 1 team-lead/);
  expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(true);
  expect((await env.result(id)).outcome).toBe('rolled-back');
});

test('a rejection ends the run, and the approval that comes after it counts nowhere', async () => {
  await env.cluster.history('lead-no', 1, v1, v2);
  await env.start({ deployment: 'lead-no' }, 'asked-twice');
  await env.untilWaiting('asked-twice');
  const late = await env.token('asked-twice', 'approve', 'team-lead');
  const words = { note: 'the database is being moved' };
  expect((await env.decide('asked-twice', 'reject', 'on-call-2', words)).counted).toBe(true);

  const result = await env.result('asked-twice');

  expect(result.outcome).toBe('rejected');
  expect(result.message).toBe('on-call-2 rejected it: the database is being moved.');
  expect(result.next).toEqual(['Nothing was changed.']);
  expect((await env.send('asked-twice', { decision: 'approve', token: late })).counted).toBe(false);
  // Nor in a later run with the same id, about the same plan.
  await env.start({ deployment: 'lead-no' }, 'asked-twice');
  await env.untilWaiting('asked-twice');
  expect(await env.send('asked-twice', { decision: 'approve', token: late })).toEqual({
    ...{ counted: false, text: 'The token is for another run with the same workflow id.' },
  });
  await env.decide('asked-twice', 'reject', 'team-lead', words);
  await env.result('asked-twice');
  expect(await env.cluster.image('lead-no')).toBe(v2);
});

test('whoever is missing is told, then the next contact, and at last the run ends unchanged', async () => {
  const id = await waitingRun('lead-silent', { approvalTimeout: '4s' });
  const late = await env.token(id, 'approve', 'team-lead');

  const result = await env.result(id);

  expect(result.outcome).toBe('expired');
  expect(result.message).toContain('Nobody gave what was missing in time: 1 team-lead');
  const told = env.told.filter(({ workflowId }) => workflowId === id);
  expect(told.map(({ roles }) => roles)).toEqual([
    ['team-lead'],
    ['team-lead', 'cto'],
    ['team-lead', 'cto'],
  ]);
  expect(told[0]?.text).toMatch(/lead-silent .* Missing: 1 team-lead .*rollback approve /);
  expect(told[1]?.text).toMatch(/^Still waiting\. /);
  expect((await env.send(id, { decision: 'approve', token: late })).counted).toBe(false);
  expect(await env.cluster.image('lead-silent')).toBe(v2);
});

describe('break-glass', () => {
  const glass: Partial<DecisionClaims> = { breakGlass: true, note: 'the lead is on a plane' };

  test('takes two who did not ask, with a reason, after the lead was silent; and is told', async () => {
    const id = await waitingRun('lead-plane');
    expect((await env.decide(id, 'approve', 'on-call-2', glass)).text).toMatch(
      /cannot stand in: those asked must have been silent for 5 s, which is from 20\d\d-/,
    );
    await eventually('the lead was silent for long enough', async () => {
      const { counted } = await env.decide(id, 'approve', 'on-call-2', glass);
      return counted;
    });
    expect((await env.decide(id, 'approve', 'on-call', glass)).text).toContain(
      'whoever asked for the run may not stand in',
    );
    expect((await env.decide(id, 'approve', 'cto', glass)).text).toContain('only on-call may');
    const { breakGlass } = glass;
    expect((await env.decide(id, 'approve', 'on-call-3', { breakGlass })).text).toContain(
      'Break-glass needs a reason: say it with --note.',
    );
    expect(await env.cluster.image('lead-plane')).toBe(v2);
    expect((await env.decide(id, 'approve', 'on-call-3', glass)).counted).toBe(true);

    const result = await env.result(id);
    expect(result.outcome).toBe('rolled-back');
    expect(result.authority).toMatchObject({ granted: true, breakGlass: true });
    expect(result.authority?.needs[1]).toMatchObject({
      ...{ rule: 'lead', by: ['on-call-2', 'on-call-3'], breakGlass: true },
    });
    const notice = await eventually('break-glass was told', () =>
      Promise.resolve(env.told.find(({ text }) => text.startsWith(`Break-glass in run ${id}`))),
    );
    expect(notice.text).toContain('on-call-2 and on-call-3 for team-lead (the lead is on a plane');
    expect(notice.roles).toEqual(['team-lead']);
  });

  test('is of no use for a role that the settings do not name', async () => {
    const id = await waitingRun('lead-cto-plane');
    await env.decide(id, 'approve', 'team-lead');
    const { startedAt } = await env.status(id);
    await eventually('the CTO was silent for long enough', () =>
      Promise.resolve(Date.now() - Date.parse(startedAt) > 6000),
    );
    for (const person of ['on-call-2', 'on-call-3'] as const) {
      expect((await env.decide(id, 'approve', person, glass)).counted).toBe(false);
    }
    expect((await env.decide(id, 'approve', 'cto')).counted).toBe(true);
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });
});

describe('an approval', () => {
  beforeAll(() => env.cluster.history('lead-away', 1, v1, v2));

  test('that is sent while no worker runs counts when one is back', async () => {
    const id = await waitingRun('lead-later');
    const token = await env.token(id, 'approve', 'team-lead');
    await env.stopWorker();
    await env.client.workflow.getHandle(id).signal('approve', { token });
    await env.startWorker();
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('does not count twice, nor after somebody has used the last that was missing', async () => {
    const id = await waitingRun('pair-twice');
    const token = await env.token(id, 'approve', 'on-call-2');
    expect((await env.send(id, { decision: 'approve', token })).counted).toBe(true);
    expect(await env.send(id, { decision: 'approve', token })).toEqual({
      ...{ counted: false, text: 'This very token was looked at before.' },
    });
    const owner = await env.occupy('pair-twice');
    await env.decide(id, 'approve', 'on-call-3');
    await env.result(id);
    await owner.free();
    expect((await env.result(id)).outcome).toBe('busy');
    expect(await env.cluster.image('pair-twice')).toBe(v2);
  });
});
