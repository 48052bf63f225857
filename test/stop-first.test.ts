import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { Clusters } from '../src/activities/kubernetes/api.ts';
import { leftAtZero } from '../src/activities/kubernetes/deployment/left-at-zero.ts';
import type { ReplicasChange } from '../src/activities/kubernetes/deployment/replicas.ts';
import { stopDeployment } from '../src/activities/kubernetes/deployment/stop-deployment.ts';
import { markAfter } from '../src/activities/kubernetes/objects.ts';
import type { RunStatus } from '../src/contract/run.ts';
import { TestDatabases } from './support/databases.ts';
import { eventually } from './support/eventually.ts';
import { mandateFor } from './support/mandates.ts';
import { targetOf, useRollbackEnvironment } from './support/rollback-environment.ts';
import { silentProgress } from './support/silent-progress.ts';

/** Services that stand still while a database is restored, and how they come back. */
const databases = new TestDatabases();
const keys = ['back', 'kept', 'slow', 'left'] as const;
type Key = (typeof keys)[number];
const red = { health: { url: 'http://127.0.0.1:1/health', retries: 0 } };

const env = useRollbackEnvironment(
  {
    services: Object.fromEntries(
      keys.map((key) => [key, { deployment: key, ...(key === 'slow' ? {} : { checks: red }) }]),
    ),
    databases: Object.fromEntries(
      keys.map((key) => [
        key,
        {
          url: databases.url(databases.nameOf(key)),
          ...{ backups: { folder: databases.folder }, services: [key] },
        },
      ]),
    ),
  },
  { procedure: 'database' },
);
beforeAll(async () => {
  for (const key of keys) {
    const name = databases.nameOf(key);
    await databases.create(name);
    await databases.dump(name, new Date('2025-01-10T14:30:00Z'));
    await databases.sql(name, `insert into orders values (99, 'late')`);
  }
});
afterAll(() => databases.close());

/**
 * Starts a run that stops the service of this name first, approved, and answers its id.
 * @param meanwhile what happens between its plan and the approval
 */
async function start(key: Key, meanwhile?: () => Promise<unknown>): Promise<string> {
  const input = { database: key, to: '2025-01-10T15:00:00Z', stopFirst: true };
  const id = await env.startAs('on-call', input);
  await env.untilWaiting(id);
  await meanwhile?.();
  await env.decide(id, 'approve', 'team-lead');
  return id;
}
const podsOf = (name: string) => env.cluster.list<V1Pod>('pod', `app=${name}`);
const replicasOf = async (name: string) => {
  const { spec, status } = await env.cluster.deployment(name);
  return [spec?.replicas, status?.availableReplicas];
};
const copies = async (key: Key) =>
  (await databases.names()).filter((name) => name.startsWith(`${databases.nameOf(key)}_restore`));
/** Starts a run that is paused after its swap, when the services run again. */
async function untilRed(key: Key): Promise<RunStatus> {
  await env.cluster.deploy(key, 'wakala/api:1.0.0', 2);
  const paused = await env.untilPaused(await start(key));
  expect(paused.pausedAt[0]?.step).toBe('Check health');
  expect(await databases.orders(databases.nameOf(key))).toBe(10);
  return paused;
}

describe('services that were stopped for a restore run again after an abort', () => {
  test('once the databases are swapped back while they stand still', async () => {
    const paused = await untilRed('back');
    const watch = await env.cluster.watch('deployment', ['back'], '{.spec.replicas}');

    const { outcome, next } = await env.abort(paused);

    expect({ outcome, next }).toEqual({ outcome: 'aborted', next: [] });
    expect(await databases.orders(databases.nameOf('back'))).toBe(11);
    expect(await copies('back')).toEqual([]);
    expect(await replicasOf('back')).toEqual([2, 2]);
    expect(await watch.stop()).toContain('0');
  });

  test('also where the databases cannot be swapped back', async () => {
    const paused = await untilRed('kept');
    const live = databases.nameOf('kept');
    await databases.sql(live, `begin; delete from orders; prepare transaction '${live}'`);

    await env.decideStep(paused, 'abort');
    const held = await eventually('somebody is asked about the swap', async () => {
      const status = await env.status(paused.workflowId);
      return status.pausedAt[0]?.step === 'Undo: Swap the databases' && status;
    });
    expect(await replicasOf('kept')).toEqual([0, undefined]);
    // A run that ended now would have left it so.
    expect(leftAtZero(await env.cluster.deployment('kept'))).toMatchObject({ replicas: 2 });
    await env.decideStep(held, 'skip');

    expect((await env.result(paused.workflowId)).outcome).toBe('failed');
    expect(await replicasOf('kept')).toEqual([2, 2]);
  });
});

test('services that a terminated run has left stopped are started by the next one, and by the one after that', async () => {
  await env.cluster.deploy('left', 'wakala/api:1.0.0', 2);
  const live = databases.nameOf('left');
  const terminated = async () => {
    const block = () =>
      databases.sql(live, `begin; delete from orders; prepare transaction '${live}'`);
    const { workflowId, pausedAt } = await env.untilPaused(await start('left', block));
    expect(pausedAt[0]?.step).toBe('Swap the databases');
    await env.client.workflow.getHandle(workflowId).terminate('by mistake');
    await databases.sql(live, `rollback prepared '${live}'`);
    const [copy] = await copies('left');
    await databases.sql('postgres', `drop database "${copy}"`);
    expect(await replicasOf('left')).toEqual([0, undefined]);
    return workflowId;
  };
  const told = (id: string) =>
    `Run ${id} has stopped Deployment left in ${env.cluster.namespace} and not started it again: this run starts it with the 2 replicas that it had before, also where it is aborted.`;
  const first = await terminated();
  // Whoever changes something else of it notes that in place of who stopped it.
  const { key, value } = markAfter({}, { workflowId: 'other', firstRunId: '' }, 'restart');
  await env.cluster.kubectl('annotate', '--overwrite', 'deployment', 'left', `${key}=${value}`);
  const second = await terminated();

  const paused = await env.untilPaused(await start('left'));

  expect((await env.status(second)).plan?.warnings).toContain(told(first));
  expect(paused.plan?.warnings).toContain(told(second));
  expect(paused.plan?.differences).toContain(
    `starts: ${env.cluster.namespace}/left, replicas 0 -> 2 after the swap`,
  );
  expect(paused.pausedAt[0]?.step).toBe('Check health');
  expect(await replicasOf('left')).toEqual([2, 2]);
  expect((await env.abort(paused)).outcome).toBe('aborted');
  expect(await replicasOf('left')).toEqual([2, 2]);
  await env.cluster.kubectl('scale', 'deployment/left', '--replicas=0');
  // Who scales it down by hand after that has left nothing undone.
  expect(leftAtZero(await env.cluster.deployment('left'))).toBeUndefined();
});

describe('a service has stopped', () => {
  /** Keeps a pod of the Deployment from going, as one does that takes its time to end. */
  async function keepOne(name: string): Promise<() => Promise<unknown>> {
    const pod = (await podsOf(name))[0]?.metadata?.name ?? '';
    const patch = (finalizers: string[]) =>
      env.cluster.kubectl(
        'patch',
        'pod',
        pod,
        '-p',
        JSON.stringify({ metadata: { finalizers } }),
        '--type=merge',
      );
    await patch(['wakala.test/ends-slowly']);
    return () => patch([]);
  }

  test('once its last pod has ended, which may write until then', async () => {
    await env.cluster.deploy('slow', 'wakala/api:1.0.0', 2);
    const letGo = await keepOne('slow');
    const id = await start('slow');
    await eventually('one pod is left', async () => (await podsOf('slow')).length === 1);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await env.status(id)).steps.map(({ title }) => title)).toEqual(['Stop slow']);
    expect(await databases.orders(databases.nameOf('slow'))).toBe(11);

    await letGo();

    const { outcome, steps } = await env.result(id);
    expect(outcome).toBe('rolled-back');
    expect(steps[0]?.text).toContain('No pod of slow is left.');
    expect(await replicasOf('slow')).toEqual([2, 2]);
  });

  test('or is told about with the pod that does not end, and others’ pods are not waited for', async () => {
    await env.cluster.deploy('stuck', 'wakala/api:1.0.0', 2);
    const letGo = await keepOne('stuck');
    await env.cluster.kubectl('run', 'other', '--image=wakala/api:1.0.0', '--labels=app=stuck');
    const [some, none] = [2, 0].map((replicas) => ({ replicas, autoscaled: false }));
    const clusters = new Clusters();
    const target = await targetOf(env.cluster, 'deployment/stuck');
    const change = {
      ...{ id: 'stop/stuck', kind: 'deployment/replicas', before: some, after: none },
      target: { ...target, context: clusters.of(undefined).context },
    } as ReplicasChange;
    const stop = () => stopDeployment(clusters, mandateFor(change), silentProgress());
    const now = Date.now;
    const stopping = stop();
    const left = async () =>
      (await podsOf('stuck')).filter(({ metadata }) => metadata?.name !== 'other');
    await eventually('one pod is left', async () => (await left()).length === 1);

    const later = jest.spyOn(Date, 'now').mockImplementation(() => now() + 120_000);

    const [pod] = await left();
    // How many there were when it first looked is chance.
    const told = `1 of [12] pods of stuck have not ended yet\\): pod ${pod?.metadata?.name} should have`;
    await expect(stopping).rejects.toThrow(new RegExp(`does not stop \\(${told}`));
    later.mockRestore();
    await letGo();
    expect((await stop()).text).toContain('No pod of stuck is left.');
  });
});
