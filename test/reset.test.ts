import { describe, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.ts';
import type { PersonName } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import type { HistoryEvent } from './support/runs.ts';

const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0-bad'];
const rule = (name: string, need: Record<string, number>) => ({
  ...{ name, when: { targets: [`deployment/*/${name}-*`] }, need },
});
const env = useRollbackEnvironment({
  authority: { rules: [rule('lead', { 'team-lead': 1 }), rule('lead-cto', { cto: 1 })] },
});

/** A decision counts from the second after the reset on. */
async function decideAfterReset(
  workflowId: string,
  person: PersonName,
  decision: 'approve' | 'reject' = 'approve',
): Promise<void> {
  await eventually(`the decision of ${person} counts`, async () => {
    const { counted } = await env.decide(workflowId, decision, person);
    return counted;
  });
}

const updates = (events: HistoryEvent[]) =>
  events.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
const planned = (events: HistoryEvent[]) =>
  events.some((event) => event.activityTaskCompletedEventAttributes);

describe('a reset', () => {
  test('of a run that is over plans anew, and somebody must look at that plan', async () => {
    await env.cluster.history('old', 1, v1, v2);
    const id = await env.start({ deployment: 'old' });
    expect((await env.result(id)).outcome).toBe('rolled-back');
    await env.cluster.release('old', v2);

    await env.reset(id, (events) => !planned(events));

    const { authority } = await env.untilWaiting(id);
    expect(authority).toMatchObject({
      ...{ start: { kind: 'replanned', by: 'on-call' }, missing: '1 on-call to confirm the start' },
    });
    expect(await env.cluster.image('old')).toBe(v2);
    await decideAfterReset(id, 'on-call');
    // It has rolled back before; whoever has deployed since did so on purpose.
    const { outcome, message } = await env.result(id);
    expect(outcome).toBe('refused');
    expect(message).toContain('This run has rolled Deployment old');
    expect(await env.cluster.image('old')).toBe(v2);
  });

  test('after the approval does not carry it over to a plan that has changed', async () => {
    await env.cluster.history('lead-changed', 1, v1, v2);
    const owner = await env.occupy('lead-changed');
    const id = await env.start({ deployment: 'lead-changed', wait: '10m' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');
    await eventually('the run waits for the target', async () =>
      (await env.status(id)).message.startsWith('Waiting: '),
    );
    // The approval itself is in the history of the workflow task before this one.
    expect((await env.decide(id, 'approve', 'team-lead')).text).toContain('approved already');
    await env.client.workflow.getHandle(id).terminate('by mistake');
    await env.cluster.release('lead-changed', v3);
    await owner.free();

    await env.reset(id, () => true);

    const status = await eventually('the run asks again', async () => {
      const now = await env.status(id);
      return now.phase === 'awaiting-approval' && now.plannedAgain !== undefined ? now : undefined;
    });
    expect(status.plannedAgain).toContain('The plan was made before the run was reset.');
    expect(status.authority?.missing).toMatch(/1 on-call to confirm the start; 1 team-lead/);
    expect(await env.cluster.image('lead-changed')).toBe(v3);
    await decideAfterReset(id, 'team-lead', 'reject');
    expect((await env.result(id)).outcome).toBe('rejected');
  });

  test('of a run that was not begun does not act on what was planned before it', async () => {
    await env.cluster.history('stopped', 1, v1, v2);
    const owner = await env.occupy('stopped');
    const id = await env.start({ deployment: 'stopped', wait: '10m' });
    await eventually('the run waits for the target', async () =>
      (await env.status(id)).message.startsWith('Waiting: '),
    );
    expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(false);
    await env.client.workflow.getHandle(id).terminate('by mistake');
    await owner.free();

    await env.reset(id, planned);

    const status = await eventually('the run asks', async () => {
      const now = await env.status(id);
      return now.phase === 'awaiting-approval' && now;
    });
    expect(status.plannedAgain).toContain('The plan was made before the run was reset.');
    expect(await env.cluster.image('stopped')).toBe(v2);
    await decideAfterReset(id, 'on-call');
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });

  test('to before a rejection does not bring back the approvals from before it', async () => {
    await env.cluster.history('lead-cto-no', 1, v1, v2);
    const id = await env.start({ deployment: 'lead-cto-no' });
    await env.untilWaiting(id);
    await env.decide(id, 'approve', 'team-lead');
    await env.decide(id, 'reject', 'cto', { note: 'not today' });
    expect((await env.result(id)).outcome).toBe('rejected');

    await env.reset(id, (events) => updates(events) < 2);
    await env.untilWaiting(id);

    await eventually('the run plans anew with the first decision', async () => {
      const { text } = await env.decide(id, 'approve', 'cto');
      return text.includes('The run was reset after this plan was made');
    });
    const { authority, plannedAgain } = await eventually('the run asks again', async () => {
      const now = await env.status(id);
      return now.phase === 'awaiting-approval' && now.plannedAgain !== undefined && now;
    });
    expect(plannedAgain).toContain('The run was reset');
    expect(authority?.missing).toMatch(/1 on-call to confirm the start; 1 team-lead .*; 1 cto /);
    expect(await env.cluster.image('lead-cto-no')).toBe(v2);
    for (const person of ['on-call', 'team-lead', 'cto'] as const) {
      await decideAfterReset(id, person);
    }
    expect((await env.result(id)).outcome).toBe('rolled-back');
  });
});
