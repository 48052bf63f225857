/** How a run of several steps goes back. After Argo Rollouts' tests of an aborted rollout. */
import { beforeAll, expect, test } from '@jest/globals';
import { join } from 'node:path';
import type { RunResult } from '../src/contract/run.ts';
import { eventually } from './support/eventually.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const workflowsPath = join(import.meta.dirname, 'support/three-steps-workflow.ts');
const env = useRollbackEnvironment({}, { workflowsPath });
beforeAll(() => env.cluster.history('steps', 1, 'wakala/api:1.0.0', 'wakala/api:2.0.0'));

const undone = ({ steps }: Pick<RunResult, 'steps'>) =>
  steps.map(({ title, state, text }) => `${title} ${state}: ${text}`);

test('what was done last is taken back first, a step that failed halfway as well', async () => {
  const paused = await env.runUntilPaused({ deployment: 'steps' });
  expect(paused.message).toBe('Paused at step "third": the third never works');

  const result = await env.abort(paused);

  expect(result.outcome).toBe('aborted');
  expect(undone(result)).toEqual([
    'first undone: taken back as number 3',
    'second undone: taken back as number 2',
    'third undone: taken back as number 1',
  ]);
});

test('a step that cannot be taken back stops the way back until it can', async () => {
  const paused = await env.runUntilPaused({ deployment: 'steps', reason: 'second' });
  expect((await env.decideStep(paused, 'abort')).counted).toBe(true);
  const stuck = await eventually('the undo of the second step is paused', async () => {
    const now = await env.status(paused.workflowId);
    return now.pausedAt[0]?.step === 'Undo: second' && now;
  });
  expect(stuck.message).toContain('the second cannot be taken back yet');
  expect(stuck.steps.map(({ state }) => state)).toEqual(['done', 'paused', 'undone']);

  expect((await env.decideStep(stuck, 'retry')).counted).toBe(true);

  const result = await env.result(paused.workflowId);
  expect(result.outcome).toBe('aborted');
  expect(undone(result)[0]).toBe('first undone: taken back as number 3');
});

test('a step that is given up is said, with those that rest on it and what to do by hand', async () => {
  const paused = await env.runUntilPaused({ deployment: 'steps', reason: 'second' });
  await env.decideStep(paused, 'abort');
  const stuck = await eventually('the undo of the second step is paused', async () => {
    const now = await env.status(paused.workflowId);
    return now.pausedAt[0]?.step === 'Undo: second' && now;
  });

  expect((await env.decideStep(stuck, 'skip')).counted).toBe(true);

  const { outcome, steps, next } = await env.result(paused.workflowId);
  expect(outcome).toBe('failed');
  expect(steps.map(({ state }) => state)).toEqual(['not-undone', 'not-undone', 'undone']);
  expect(next).toEqual([
    'Undo: second: given up by on-call: the second cannot be taken back yet',
    'first: not taken back, since "second" still stands',
    'Do it by hand.',
  ]);
});

test('a step that nothing takes back is said, and keeps what it rests on', async () => {
  const paused = await env.runUntilPaused({ deployment: 'steps', reason: 'lasting' });
  const result = await env.abort(paused);
  expect(result.outcome).toBe('failed');
  expect(result.steps.map(({ state }) => state)).toEqual(['not-undone', 'done', 'undone']);
  expect(result.next).toEqual([
    'second: The second was done. That stays so: nobody knows one.',
    'first: not taken back, since "second" still stands',
    'Do it by hand.',
  ]);
});
