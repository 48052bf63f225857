import { expect, test } from '@jest/globals';
import { tokenTypes } from '../src/contract/decision.ts';
import { keyOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const env = useRollbackEnvironment();

/** Runs `send` so many times, some at once, as somebody with a script does. */
async function times(count: number, send: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) await send(next++);
  };
  await Promise.all(Array.from({ length: 25 }, one));
}

test('a flood of forged decisions keeps no honest one out, and fills no history', async () => {
  await env.cluster.history('flooded', 1, v1, v2);
  const id = await env.start({ deployment: 'flooded' }, undefined, 'nobody');
  await env.untilWaiting(id);
  const flood = 500;
  const handle = env.client.workflow.getHandle(id);
  // Everything fits but the signature: only a look at that tells them from honest ones.
  const honest = await env.token(id, 'approve', 'on-call');
  const [header, claims] = honest.split('.');
  const forged = (index: number) =>
    `${header}.${claims}.${Buffer.from(String(index).padStart(64, '0')).toString('base64url')}`;

  await times(flood, (index) => env.send(id, { decision: 'approve', token: forged(index) }));
  const afterUpdates = (await handle.describe()).historyLength;
  await times(flood, (index) => handle.signal('approve', { token: forged(flood + index) }));

  const { phase, authority } = await env.status(id);
  expect(phase).toBe('awaiting-approval');
  expect(authority?.decisions).toHaveLength(20);
  // What the validator turns away leaves nothing; a signal is an event before anybody has seen it.
  expect(afterUpdates).toBeLessThan(300);
  const { events } = await handle.fetchHistory();
  const assessed = events?.filter((event) => event.markerRecordedEventAttributes) ?? [];
  expect(assessed.length).toBeLessThan(100);
  expect(authority?.refused).toBeGreaterThan(flood);

  const answer = await env.send(id, { decision: 'approve', token: honest });
  expect(answer).toEqual({ counted: true, text: 'on-call approved; nothing is missing any more.' });
  expect((await env.result(id)).outcome).toBe('rolled-back');
}, 300_000);

test('a flood that came while no worker was there is no more than one that comes bit by bit', async () => {
  // So many that they come in one task.
  const flood = 1500;
  await env.cluster.history('away', 1, v1, v2);
  const id = await env.start({ deployment: 'away' }, undefined, 'nobody');
  await env.untilWaiting(id);
  const honest = await env.token(id, 'approve', 'on-call');
  const [header, claims] = honest.split('.');
  const handle = env.client.workflow.getHandle(id);
  await env.stopWorker();
  await times(flood, (index) => {
    const signature = Buffer.from(String(index).padStart(64, '0')).toString('base64url');
    return handle.signal('approve', { token: `${header}.${claims}.${signature}` });
  });
  await env.startWorker();

  await env.send(id, { decision: 'approve', token: honest });

  expect((await env.result(id)).outcome).toBe('rolled-back');
  const { events } = await handle.fetchHistory();
  const assessed = events?.filter((event) => event.markerRecordedEventAttributes) ?? [];
  expect(assessed.length).toBeLessThan(100);
  // A task that the server itself ends, to let in what came meanwhile, is no failure of the worker.
  const failed = (events ?? [])
    .filter((event) => event.workflowTaskFailedEventAttributes)
    .filter((event) => !JSON.stringify(event).includes('FORCE_CLOSE_COMMAND'));
  expect(failed).toEqual([]);
}, 300_000);

test('decisions that come before the plan wait for it, and no more than an honest run has', async () => {
  await env.cluster.history('claimed', 1, v1, v2);
  await env.stopWorker();
  const key = await keyOf('on-call');
  const iat = Math.floor(Date.now() / 1000);
  const token = await key.sign(tokenTypes.decision, {
    ...{ sub: 'on-call', aud: 'default/claimed', run: 'unknown yet', decision: 'approve' },
    ...{ digest: 'unknown yet', iat, exp: iat + 600, executeBy: iat + 600 },
  });
  const input = { deployment: 'claimed', namespace: env.cluster.namespace };
  // Somebody claims the workflow id, with decisions already there.
  await env.client.workflow.signalWithStart('rollbackDeployment', {
    ...{ workflowId: 'claimed', taskQueue: 'rollback', args: [input] },
    ...{ signal: 'approve', signalArgs: [{ token }] },
  });
  const handle = env.client.workflow.getHandle('claimed');
  await times(60, () => handle.signal('approve', { token }));
  await env.startWorker();

  const { authority } = await env.untilWaiting('claimed');
  expect(authority?.start).toEqual({ kind: 'unsigned', why: 'started unsigned' });
  expect(authority?.granted).toBe(false);
  expect((await env.decide('claimed', 'approve', 'on-call')).counted).toBe(true);
  expect((await env.result('claimed')).outcome).toBe('rolled-back');
  const { decisions = [], refused } = (await env.result('claimed')).authority ?? {};
  expect(refused).toBe(61);
  expect(decisions.at(-1)).toMatchObject({ counted: true, by: 'on-call' });
});

test('messages that come while a cancelled run goes back neither stop it nor wedge it', async () => {
  const [never, good] = ['wakala/api:1.0.0-broken', 'wakala/api:2.0.0'];
  await env.cluster.kubectl('create', 'deployment', 'going-back', `--image=${never}`);
  await env.cluster.release('going-back', good);
  const id = await env.start({ deployment: 'going-back' });
  await env.cluster.pods('going-back', never);
  const handle = env.client.workflow.getHandle(id);

  await handle.cancel();
  // Some come before the run has ended, and none later.
  await times(60, (index) => handle.signal('abort', { token: index }).catch(() => undefined));

  expect((await env.result(id)).outcome).toBe('aborted');
  expect(await env.cluster.image('going-back')).toBe(good);
  await env.untilFree('going-back');
});
