import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { eventually } from './support/eventually.ts';
import { HealthServer } from './support/health-server.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const server = new HealthServer();
await server.start();
const health = { url: server.url, requests: 2, retries: 0, every: '50ms' };
const env = useRollbackEnvironment({
  services: Object.fromEntries(
    ['retried', 'skipped', 'aborted', 'cancelled', 'late', 'asked', 'restarted', 'denied'].map(
      (deployment) => [deployment, { deployment, checks: { health } }],
    ),
  ),
});
beforeAll(() => {
  server.answer = () => 500;
});
afterAll(() => server.stop());

/** A run whose health check is red. */
async function pausedRun(deployment: string, input: object = {}) {
  await env.cluster.history(deployment, 2, v1, v2);
  return env.runUntilPaused({ deployment, ...input });
}

describe('a run whose check is red', () => {
  test('says where it is paused, why, and what may be decided', async () => {
    const { phase, pausedAt, message, workflowId } = await pausedRun('late');
    expect(phase).toBe('paused');
    expect(pausedAt).toEqual([
      {
        ...{ step: 'Check health', attempt: 1, allowed: ['retry', 'skip', 'abort'] },
        error: expect.stringContaining('2 of 2 requests'),
      },
    ]);
    expect(message).toContain('Paused at step "Check health": health: 2 of 2 requests');
    await env.client.workflow.getHandle(workflowId).terminate();
  });

  test('tries again when somebody says so, signed or not, and goes on once it is green', async () => {
    const { workflowId } = await pausedRun('retried');
    const handle = env.client.workflow.getHandle(workflowId);
    const again = { step: 'Check health', attempt: 1 };
    expect(await env.send(workflowId, { decision: 'retry', ...again, by: 'olga' })).toEqual({
      ...{ counted: true, text: 'Trying step "Check health" again.' },
    });
    const second = await eventually('it is paused again', async () => {
      const status = await env.status(workflowId);
      return status.pausedAt[0]?.attempt === 2 && status;
    });
    // The word for the first attempt says nothing about the second.
    await handle.signal('retry', again);
    expect((await env.status(workflowId)).pausedAt[0]?.attempt).toBe(2);
    server.answer = () => 200;
    expect((await env.decideStep(second, 'retry', 'on-call-2')).counted).toBe(true);
    const result = await env.result(workflowId);
    server.answer = () => 500;
    expect(result).toMatchObject({ outcome: 'rolled-back', gaps: [], pausedAt: [] });
    expect(result.steps.at(-1)).toMatchObject({ state: 'done', attempt: 3 });
    expect(result.authority?.decisions.map(({ by, counted }) => `${by} ${counted}`)).toEqual([
      '"olga" (not proved) true',
      'unknown false',
      'on-call-2 true',
    ]);
  });

  test('goes on without it when somebody signs that, and the result says who', async () => {
    const paused = await pausedRun('skipped');
    const { workflowId } = paused;
    const about = { step: 'Check health', attempt: 1 };
    expect((await env.send(workflowId, { decision: 'skip', ...about })).text).toContain(
      'needs a signed token',
    );
    expect((await env.decideStep(paused, 'skip', 'cto')).text).toContain(
      'cto has none of the roles that decide about this run: on-call',
    );
    const later = await env.token(workflowId, 'skip', 'on-call', { ...about, attempt: 2 });
    expect((await env.send(workflowId, { decision: 'skip', ...about, token: later })).text).toBe(
      'The token is about attempt 2 of step "Check health", not about attempt 1 of step "Check health".',
    );
    const whole = await env.token(workflowId, 'skip', 'on-call');
    expect((await env.send(workflowId, { decision: 'skip', ...about, token: whole })).counted).toBe(
      false,
    );
    expect((await env.send(workflowId, { decision: 'skip', step: 'Restore' })).text).toContain(
      'name where it is: "step": "Check health", "attempt": 1',
    );
    expect((await env.status(workflowId)).phase).toBe('paused');

    expect((await env.decideStep(paused, 'skip')).counted).toBe(true);
    const result = await env.result(workflowId);
    expect(result.outcome).toBe('rolled-back');
    expect(result.gaps).toEqual([
      expect.stringMatching(/^Check health was left out by on-call \(health: 2 of 2 requests/),
    ]);
    expect(result.steps.at(-1)?.state).toBe('skipped');
  });

  test('takes back what it did when somebody signs that, though it is not healthier', async () => {
    const paused = await pausedRun('aborted');
    expect(await env.cluster.image('aborted')).toBe(v1);
    const result = await env.abort(paused);
    expect(result.outcome).toBe('aborted');
    expect(result.message).toContain('on-call aborted at step "Check health"');
    expect(result.steps[0]?.state).toBe('undone');
    expect(await env.cluster.image('aborted')).toBe(v2);
    await env.untilFree('aborted');
  });

  test('stays where it is when it is cancelled, since nobody has signed for the bad version', async () => {
    const { workflowId } = await pausedRun('cancelled');
    await env.client.workflow.getHandle(workflowId).cancel();
    const result = await env.result(workflowId);
    expect(result.outcome).toBe('failed');
    expect(result.next[0]).toContain('the version that was left is not healthier');
    expect(await env.cluster.image('cancelled')).toBe(v1);
    await env.untilFree('cancelled');
  });

  test('holds while no worker runs, and after', async () => {
    const paused = await pausedRun('restarted');
    await env.stopWorker();
    await env.startWorker();
    expect((await env.status(paused.workflowId)).pausedAt).toEqual(paused.pausedAt);
    expect((await env.decideStep(paused, 'skip')).counted).toBe(true);
    expect((await env.result(paused.workflowId)).outcome).toBe('rolled-back');
  });

  test('tells the on-call engineer, then the next contacts, and decides nothing itself', async () => {
    const paused = await pausedRun('asked', { decisionTimeout: '300ms' });
    const { workflowId } = paused;
    const told = await eventually('all contacts are told', () => {
      const notices = env.told.filter((notice) => notice.workflowId === workflowId);
      return Promise.resolve(notices.length >= 3 && notices);
    });
    expect(told.map(({ roles }) => roles)).toEqual([
      ['on-call'],
      ['on-call', 'team-lead'],
      ['on-call', 'team-lead', 'cto'],
    ]);
    expect(told[0]?.text).toMatch(
      /Paused at step "Check health": "health: 2 of 2 .*rollback retry/,
    );
    expect((await env.status(workflowId)).phase).toBe('paused');
    await env.abort(paused);
    expect(env.told.filter((notice) => notice.workflowId === workflowId)).toHaveLength(3);
  });
});

describe('an undo that fails', () => {
  const policy = 'no-more-of-version-2';
  afterAll(() =>
    execa('kubectl', [
      ...['delete', 'validatingadmissionpolicy,validatingadmissionpolicybinding'],
      ...[policy, '--ignore-not-found'],
    ]),
  );

  /** Makes the API server refuse version 2 in this file's namespace. */
  async function forbidVersion2(): Promise<void> {
    const kind = 'admissionregistration.k8s.io/v1';
    const namespaceSelector = {
      matchLabels: { 'kubernetes.io/metadata.name': env.cluster.namespace },
    };
    const rule = {
      ...{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] },
      operations: ['UPDATE'],
    };
    await env.cluster.apply([
      {
        ...{ apiVersion: kind, kind: 'ValidatingAdmissionPolicy', metadata: { name: policy } },
        spec: {
          matchConstraints: { namespaceSelector, resourceRules: [rule] },
          validations: [
            {
              expression: `object.spec.template.spec.containers.all(c, c.image != '${v2}')`,
              ...{ message: 'Version 2 is not allowed any more.', reason: 'Forbidden' },
            },
          ],
        },
      },
      {
        ...{ apiVersion: kind, kind: 'ValidatingAdmissionPolicyBinding' },
        metadata: { name: policy },
        spec: { policyName: policy, validationActions: ['Deny'] },
      },
    ]);
    await eventually('version 2 is refused', async () => {
      const tried = await env.cluster
        .kubectl('set', 'image', 'deployment/denied', `*=${v2}`, '--dry-run=server')
        .catch((error: Error) => error.message);
      return tried.includes('not allowed any more');
    });
  }

  test('pauses as well, and goes on when what was in its way is gone', async () => {
    const paused = await pausedRun('denied');
    const { workflowId } = paused;
    await forbidVersion2();
    expect((await env.decideStep(paused, 'abort')).counted).toBe(true);
    const undoing = await eventually('the undo is paused', async () => {
      const status = await env.status(workflowId);
      return status.pausedAt[0]?.step.startsWith('Undo: ') && status;
    });
    expect(undoing.pausedAt[0]).toMatchObject({
      ...{ step: 'Undo: Restore the pod template', attempt: 1, allowed: ['retry', 'skip'] },
      error: expect.stringContaining('Version 2 is not allowed any more.'),
    });
    expect((await env.decideStep(undoing, 'abort')).text).toContain('Here it is retry or skip');
    expect((await env.decideStep(undoing, 'retry')).counted).toBe(true);
    const second = await eventually('it is paused again', async () => {
      const status = await env.status(workflowId);
      return status.pausedAt[0]?.attempt === 2 && status;
    });
    await execa('kubectl', ['delete', 'validatingadmissionpolicybinding', policy]);
    await eventually('version 2 is let in', async () => {
      const tried = env.cluster.kubectl(
        ...['set', 'image', 'deployment/denied', `*=${v2}`, '--dry-run=server'],
      );
      return tried.then(
        () => true,
        () => false,
      );
    });
    expect((await env.decideStep(second, 'retry')).counted).toBe(true);
    const result = await env.result(workflowId);
    expect(result.outcome).toBe('aborted');
    expect(await env.cluster.image('denied')).toBe(v2);
  });
});
