import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execa } from 'execa';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { WorkerProcess } from '../sandbox/worker-process.ts';
import type { Planned } from '../src/contract/plan.ts';
import { TestCluster } from './support/cluster.ts';
import { makeColours, standing } from './support/colours.ts';
import { CommandLine, nowhere } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { Forger } from './support/forger.ts';
import { alsoIn, movedTo, TwoClusters } from './support/second-cluster.ts';
import { type Relay, relayTo } from './support/relay.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';
import { writeSettings } from './support/settings.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
let clusters: TwoClusters;
let farKubeconfig: string;
let slow: Relay;
beforeAll(async () => {
  clusters = await TwoClusters.start();
  const { first, second } = clusters;
  const nobody = movedTo(first, `https://${nowhere}`);
  slow = await relayTo(first.clusters[0]?.cluster.server ?? '', 1000);
  process.env.KUBECONFIG = clusters.kubeconfig('near', [
    ['eu', first],
    ['us', second],
    ['dead', nobody],
    ['slow', movedTo(first, slow.address)],
  ]);
  // Of this region the tests' own worker has no context at all.
  farKubeconfig = clusters.kubeconfig('far', [['far', second]]);
});

/** Answers by path whether a region's service is well. */
const health = createServer((request, response) => {
  response.writeHead(request.url === '/well' ? 200 : 500).end();
});
const healthPort = await new Promise<number>((resolve) => {
  health.listen(0, '127.0.0.1', () => resolve((health.address() as AddressInfo).port));
});
afterAll(() => void health.close());
const healthOf = (path: string) => ({
  checks: { health: { url: `http://127.0.0.1:${healthPort}/${path}`, requests: 1, retries: 0 } },
});

const regions = {
  eu: { context: 'eu' },
  us: { context: 'us' },
  dead: { context: 'dead' },
  slow: { context: 'slow' },
  far: { context: 'far', taskQueue: 'rollback-far' },
  lone: { context: 'far', taskQueue: 'rollback-lone' },
  empty: { context: 'eu', taskQueue: 'nobody-polls' },
};
const services = {
  waved: { deployment: 'waved', ...healthOf('well') },
  ill: { deployment: 'ill', ...healthOf('well'), regions: { eu: healthOf('ill') } },
};
const env = useRollbackEnvironment({ regions, services, authority: { retriesToldAfter: '5s' } });
let us: TestCluster;
beforeAll(async () => {
  us = new TestCluster(env.cluster.namespace, 'us');
  await alsoIn('us', us.namespace);
});
afterAll(() => {
  slow.close();
  return clusters.down();
});

const cli = () =>
  new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    TEMPORAL_NAMESPACE: 'default',
    ROLLBACK_CONFIG: env.settingsFile,
    KUBECONFIG: process.env.KUBECONFIG,
  });

/** A Deployment at v2 in both clusters. */
async function inBoth(name: string): Promise<void> {
  await Promise.all([env.cluster, us].map((cluster) => cluster.history(name, 1, v1, v2)));
}

async function imagesOf(name: string) {
  return Promise.all([env.cluster, us].map((cluster) => cluster.image(name)));
}

/** A worker of one region, which has the context `far` alone. */
function workerIn(region: string): Promise<WorkerProcess> {
  const file = writeSettings({
    ...{ kubernetes: { namespace: env.cluster.namespace }, regions, services, worker: { region } },
  });
  return WorkerProcess.start({
    ...{ TEMPORAL_ADDRESS: env.temporal.address, TEMPORAL_NAMESPACE: 'default' },
    ...{ KUBECONFIG: farKubeconfig, ROLLBACK_CONFIG: file },
  });
}

/** Starts a run and gives it the CTO's approval. */
async function startApproved(input: Record<string, unknown>): Promise<string> {
  const id = await env.start(input);
  await env.untilWaiting(id);
  expect((await env.decide(id, 'approve', 'cto')).counted).toBe(true);
  return id;
}

describe('several regions', () => {
  test.concurrent(
    'go back one after the other, each verified before the next, once the CTO approves',
    async () => {
      await inBoth('waved');
      const id = await env.start({ deployment: 'waved', regions: ['us', 'eu'] });
      const { authority } = await env.untilWaiting(id);
      expect(authority?.missing).toMatch(/1 cto \(more than one region/);
      expect(await imagesOf('waved')).toEqual([v2, v2]);
      await env.decide(id, 'approve', 'cto');

      const result = await env.result(id);

      expect(result.outcome).toBe('rolled-back');
      expect(result.plan?.summary).toMatch(/^In us: Deployment waved .* In eu: Deployment waved/);
      expect(result.steps.map(({ title }) => title)).toEqual(
        ['us', 'eu'].flatMap((region) =>
          ['Restore the pod template', 'Wait for every replica', 'Check health'].map(
            (title) => `${title} in ${region}`,
          ),
        ),
      );
      expect(await imagesOf('waved')).toEqual([v1, v1]);
      expect((await env.run({ deployment: 'waved', regions: ['us', 'eu'] })).outcome).toBe('no-op');
    },
  );

  test.concurrent(
    'stop at the first where verification is red, and an abort takes back that one',
    async () => {
      await inBoth('ill');
      const paused = await env.untilPaused(
        await startApproved({ deployment: 'ill', regions: ['eu', 'us'] }),
      );

      expect(paused.pausedAt[0]?.step).toBe('Check health in eu');
      expect(await imagesOf('ill')).toEqual([v1, v2]);

      expect((await env.abort(paused)).outcome).toBe('aborted');
      expect(await imagesOf('ill')).toEqual([v2, v2]);
    },
  );

  test.concurrent('go back at once where that is asked for', async () => {
    await inBoth('sudden');
    const id = await startApproved({
      ...{ deployment: 'sudden', regions: ['eu', 'us'], regionOrder: 'together' },
    });

    const { outcome, steps } = await env.result(id);

    expect(outcome).toBe('rolled-back');
    const first = steps.slice(0, 2).map(({ title }) => title);
    expect(first.sort()).toEqual([
      'Restore the pod template in eu',
      'Restore the pod template in us',
    ]);
  });
});

test.concurrent('an abort in the soak of one region sends the traffic back in all', async () => {
  await Promise.all([env.cluster, us].map((cluster) => makeColours(cluster, 'soaks')));
  const { namespace } = env.cluster;
  const input = { service: 'soaks', namespace, soak: '1h', regions: ['us', 'eu'] };
  const together = { ...input, regionOrder: 'together' };
  const id = await env.startAs('on-call', together, undefined, 'blue-green');
  await env.untilWaiting(id);
  await env.decide(id, 'approve', 'cto');
  const soaking = await eventually('both soak', async () => {
    const status = await env.status(id);
    return status.pausedAt.length === 2 && status;
  });

  expect((await env.abort(soaking)).outcome).toBe('aborted');

  const colours = await Promise.all([env.cluster, us].map((one) => standing(one, 'soaks')));
  for (const one of colours) expect(one).toMatchObject({ version: 'green', green: 2 });
});

describe('a region that cannot be reached', () => {
  test.concurrent(
    'blocks no other: the plan says so, and the result what is left to do',
    async () => {
      await env.cluster.history('healthy', 1, v1, v2);
      const began = Date.now();
      const id = await env.start({ deployment: 'healthy', regions: ['dead', 'eu'] });

      const { outcome, plan, gaps, next } = await env.result(id);

      expect(Date.now() - began).toBeLessThan(30_000);
      expect(outcome).toBe('rolled-back');
      expect(await env.cluster.image('healthy')).toBe(v1);
      expect(plan?.warnings[0]).toMatch(/^Region dead is unreachable, and not part of this plan: /);
      expect(gaps[0]).toMatch(/^Region dead was not reached .* --regions dead when it answers/);
      expect(next).toEqual(gaps);
    },
  );

  test.concurrent(
    'is no success where there is no other, nor where the others need nothing',
    async () => {
      await env.cluster.deploy('settled', v2, 1);
      await env.cluster.release('settled', v1);
      await env.run({ deployment: 'settled', regions: ['eu'], toRevision: 1 });
      const lonely = await env.run({ deployment: 'settled', regions: ['dead'] });
      expect(lonely.outcome).toBe('unreachable');
      const beside = await env.run({ deployment: 'settled', regions: ['eu', 'dead'] });
      expect(beside.outcome).toBe('unreachable');
      expect(beside.message).toContain('already at revision');
    },
  );

  test.concurrent('is one whose worker does not answer, too', async () => {
    await env.cluster.history('unserved', 1, v1, v2);

    const { outcome, gaps } = await env.run({ deployment: 'unserved', regions: ['empty', 'eu'] });

    expect(outcome).toBe('rolled-back');
    expect(gaps[0]).toContain('Region empty was not reached');
  });

  test.concurrent('may be left out beforehand', async () => {
    await env.cluster.history('skipped', 1, v1, v2);
    const { outcome, gaps } = await env.run({
      ...{ deployment: 'skipped', regions: ['us', 'eu'], skipRegion: ['us'] },
    });
    expect(outcome).toBe('rolled-back');
    expect(gaps).toEqual([]);
  });
});

test.concurrent(
  'a region with a worker of its own is planned and changed by that worker',
  async () => {
    await us.history('afar', 1, v1, v2);
    const worker = await workerIn('far');
    try {
      const result = await env.run({ deployment: 'afar', regions: ['far'] });

      expect(result.message).toContain('In far: Deployment afar');
      expect(result.outcome).toBe('rolled-back');
      expect(await us.image('afar')).toBe(v1);
    } finally {
      await worker.end('SIGTERM');
    }
  },
);

test.concurrent(
  'a step that no worker of its region takes up pauses, and can be tried again once one is there',
  async () => {
    await us.history('alone', 1, v1, v2);
    let worker = await workerIn('lone');
    try {
      const input = { deployment: 'alone', regions: ['lone'] };
      const id = await env.startInterrupted(input, () => worker.end('SIGTERM'), us);
      const paused = await env.untilPaused(id);

      expect(paused.pausedAt[0]?.step).toBe('Restore the pod template in lone');
      expect(paused.pausedAt[0]?.error).toContain(
        'No worker of region lone has taken this up from task queue rollback-lone: start one',
      );
      expect(await us.image('alone')).toBe(v2);
      worker = await workerIn('lone');
      await env.decideStep(paused, 'retry');
      expect((await env.result(id)).outcome).toBe('rolled-back');
      expect(await us.image('alone')).toBe(v1);
    } finally {
      await worker.end('SIGTERM');
    }
  },
);

test.concurrent.each([
  [
    { regions: ['mars'] },
    'There is no region mars: the settings have eu, us, dead, slow, far, lone, empty.',
  ],
  [{ regions: ['eu'], skipRegion: ['eu'] }, 'All regions are left out'],
  [{ regions: ['eu'], context: 'us' }, 'Regions and a context are both named'],
])('%j is not guessed at', async (input, words) => {
  const result = await env.run({ deployment: 'any', ...input });
  expect(result.outcome).toBe('refused');
  expect(result.message).toContain(words);
});

describe('the plan without Temporal', () => {
  const plan = (name: string, ...flags: string[]) =>
    cli().run('plan', 'deployment', name, '-n', env.cluster.namespace, ...flags);

  test.concurrent('has all regions too, and stops at one that does not come up', async () => {
    await us.kubectl('create', 'deployment', 'by-hand', '--image=wakala/api:1.0.0-crash');
    await Promise.all([env.cluster.history('by-hand', 1, v1, v2), us.release('by-hand', v2)]);

    const { stdout, exitCode } = await plan('by-hand', '--regions', 'us,dead,eu', '--commands');

    expect(exitCode).toBe(0);
    expect(stdout).toContain('kubectl --context eu');
    const soon = stdout.replaceAll('--timeout=10m', '--timeout=3s');
    expect((await execa('sh', { input: soon, reject: false })).exitCode).toBe(1);
    expect(await imagesOf('by-hand')).toEqual([v2, 'wakala/api:1.0.0-crash']);
  });

  test.concurrent('has them in the order asked for, whichever answers first', async () => {
    await inBoth('unhurried');
    const { stdout } = await plan('unhurried', '--regions', 'slow,us');
    expect(stdout).toMatch(/^In slow: .* In us: /);
    expect(stdout).toContain('each verified before the next: slow, us.');
  });
});

test.concurrent('what keeps one of several from being planned says in which region', async () => {
  await env.cluster.history('only-eu', 1, v1, v2);
  const { namespace } = env.cluster;
  const words = `Region us: There is no Deployment only-eu in namespace ${namespace}`;

  const result = await env.run({ deployment: 'only-eu', regions: ['eu', 'us'] });
  expect(result.outcome).toBe('refused');
  expect(result.message).toContain(words);

  const planned = await cli().run(
    ...['plan', 'deployment', 'only-eu', '-n', namespace, '--regions', 'eu,us'],
  );
  expect(planned.exitCode).toBe(2);
  expect(planned.stderr).toContain(words);
});

test.concurrent('a run that waits is listed once, with its regions', async () => {
  await inBoth('listed');
  const id = await env.start({ deployment: 'listed', regions: ['us', 'eu'] });
  await env.untilWaiting(id);
  const name = `deployment/${env.cluster.namespace}/listed`;
  const found = await eventually('the run is listed', async () => {
    const { stdout } = await cli().run('list', '--waiting');
    return stdout.split('\n').find((line) => line.includes(name));
  });
  expect(found).toContain(`${name} in us, eu  asked for by`);
  expect(found?.split(name)).toHaveLength(2);
  await env.decide(id, 'reject', 'on-call', { note: 'only to see' });
});

test.concurrent('a part that no worker planned for this run gets no seal', async () => {
  await env.cluster.history('slipped', 1, v1, v2);
  const forger = await Forger.of(env.client, env.temporal.address);
  try {
    const [one, other] = [await forger.begin(), await forger.begin()];
    const input = { deployment: 'slipped', namespace: env.cluster.namespace, regions: ['eu'] };
    const planned = (await one.call(
      ...(['kubernetes.planDeploymentRollback', input, undefined, 'eu'] as const),
    )) as Planned<object>;
    const join = {
      ...{ rawInput: input, input: planned.input, regions: [{ name: 'eu' }] },
      parts: [{ region: 'eu', plan: planned.plan, seal: planned.seal }],
    };
    const replayed = await other.refused('authority.joinRegions', join);
    expect(replayed.type).toBe('NotAuthorized');
    expect(replayed.message).toContain('is not one that was made for this run');
    const altered = structuredClone(join);
    Object.assign(altered.parts[0]?.plan ?? {}, { summary: 'nothing much' });
    expect((await one.refused('authority.joinRegions', altered)).type).toBe('NotAuthorized');
    await Promise.all([one.end(), other.end()]);
  } finally {
    await forger.stop();
  }
});
