import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { statefulSetManifests } from '../sandbox/kubernetes/manifests.ts';
import { restoredAnnotation } from '../src/activities/kubernetes/deployment/annotations.ts';
import { tokenTypes } from '../src/contract/decision.ts';
import type { Planned } from '../src/contract/plan.ts';
import { TestCluster } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { Forger } from './support/forger.ts';
import { keyOf } from './support/people.ts';
import { type Relay, relayTo } from './support/relay.ts';
import { alsoIn, movedTo, TwoClusters } from './support/second-cluster.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
let clusters: TwoClusters;
let relay: Relay;
beforeAll(async () => {
  clusters = await TwoClusters.start();
  const { first, second } = clusters;
  // `alias` leads to the first cluster by its own address, `stray` by another.
  relay = await relayTo(first.clusters[0]?.cluster.server ?? '');
  const stray = movedTo(first, relay.address);
  process.env.KUBECONFIG = clusters.kubeconfig('all', [
    ['eu', first],
    ['us', second],
    ['alias', first],
    ['stray', stray],
  ]);
});
const env = useRollbackEnvironment({
  regions: { eu: { context: 'eu' }, us: { context: 'us' } },
  services: { shop: { deployment: 'shop', statefulSet: 'shop-store' } },
});
/** The second region: a cluster of its own, with the same namespace. */
let us: TestCluster;
beforeAll(async () => {
  us = new TestCluster(env.cluster.namespace, 'us');
  await alsoIn('us', us.namespace);
});
afterAll(() => {
  relay.close();
  return clusters.down();
});

const chief = /^1 cto \(more than one region: within an hour it touches 2 regions: eu, us\)$/;

/** A Deployment at v2 in both regions. */
async function inBoth(name: string): Promise<void> {
  await Promise.all([env.cluster, us].map((cluster) => cluster.history(name, 1, v1, v2)));
}

/** Ends the mark that Temporal keeps for a region, as anybody may who writes to the namespace. */
async function endMark(region: string, name: string): Promise<void> {
  const id = `region:${region}:deployment/${env.cluster.namespace}/${name}`;
  await env.client.workflow.getHandle(id).terminate();
}

/** What a run in the second region waits for. */
async function missingInUs(deployment: string): Promise<string | undefined> {
  const id = await env.start({ deployment, context: 'us' });
  const { authority } = await env.untilWaiting(id);
  await env.decide(id, 'reject', 'on-call', { note: 'only to see' });
  await env.result(id);
  return authority?.missing;
}

test('one region after the other within the hour is more than one region, and the CTO’s', async () => {
  await inBoth('split');
  const inEu = { deployment: 'split', context: 'eu' };
  expect((await env.run(inEu)).outcome).toBe('rolled-back');
  // The same region again is still one, and so it is by another name.
  await env.cluster.release('split', v2);
  expect((await env.run({ ...inEu, context: 'alias' })).outcome).toBe('rolled-back');

  const id = await env.start({ deployment: 'split', context: 'us' });
  expect((await env.untilWaiting(id)).authority?.missing).toMatch(chief);
  expect(await us.image('split')).toBe(v2);
  expect((await env.decide(id, 'approve', 'team-lead')).counted).toBe(false);
  expect((await env.decide(id, 'approve', 'cto')).counted).toBe(true);
  expect((await env.result(id)).outcome).toBe('rolled-back');
  expect(await us.image('split')).toBe(v1);
});

test('another procedure on the same service in another region does not get past it', async () => {
  const { namespace } = env.cluster;
  await env.cluster.history('shop', 1, v1, v2);
  for (const image of [v1, v2]) {
    await us.apply(statefulSetManifests('shop-store', image, { replicas: 1 }));
    await us.kubectl('rollout', 'status', 'statefulset/shop-store', '--timeout=60s');
  }
  expect((await env.run({ deployment: 'shop', context: 'eu' })).outcome).toBe('rolled-back');

  const input = { statefulSet: 'shop-store', namespace, context: 'us', skipBackup: true };
  const id = await env.startAs('on-call', input, undefined, 'statefulset');

  expect((await env.untilWaiting(id)).authority?.missing).toMatch(chief);
  await env.decide(id, 'reject', 'on-call', { note: 'only to see' });
  await env.result(id);
});

test('who ends the mark in Temporal, or takes the note off the object, does not get past it', async () => {
  await Promise.all([inBoth('marked'), inBoth('noted')]);
  await env.run({ deployment: 'marked', context: 'eu' });
  await env.cluster.kubectl('annotate', 'deployment', 'marked', `${restoredAnnotation}-`);
  expect(await missingInUs('marked')).toMatch(chief);

  await env.run({ deployment: 'noted', context: 'eu' });
  await endMark('eu', 'noted');
  expect(await missingInUs('noted')).toMatch(chief);
});

test('of two that were planned before either began, at most one goes on without the CTO', async () => {
  await inBoth('both');
  // Locks are of clusters' objects, so each region has its own.
  const owners = [await env.occupy('both'), await env.occupy('both', us)];
  const ids = await Promise.all(
    ['eu', 'us'].map((context) => env.start({ deployment: 'both', context, wait: '1m' })),
  );
  for (const id of ids) {
    expect((await env.untilPlanned(id)).needs).toEqual([]);
    await eventually('the run waits for its turn', async () =>
      (await env.status(id)).message.startsWith('Waiting: '),
    );
  }
  await Promise.all(owners.map((owner) => owner.free()));

  const waiting = await eventually('one of them asks the CTO', async () => {
    for (const id of ids) {
      const { phase, authority } = await env.status(id);
      if (phase === 'awaiting-approval') return { id, missing: authority?.missing };
    }
    return undefined;
  });
  expect(waiting.missing).toContain('1 cto (more than one region');
  // The other one may ask as well, a moment later.
  const rejectOnceItAsks = async (id: string) => {
    await eventually('the run has ended, or was rejected', async () => {
      const { phase } = await env.status(id);
      if (phase !== 'awaiting-approval') return phase === 'done';
      return (await env.decide(id, 'reject', 'cto', { note: 'one is enough' })).counted;
    });
  };
  await Promise.all(ids.map(rejectOnceItAsks));
  const outcomes = await Promise.all(ids.map(async (id) => (await env.result(id)).outcome));
  expect(outcomes).toContain('rejected');
  expect(outcomes.filter((outcome) => outcome === 'rolled-back').length).toBeLessThan(2);
  const images = await Promise.all([env.cluster, us].map((cluster) => cluster.image('both')));
  expect(images).toContain(v2);
});

test('a cluster that is no region is refused, since it could not be counted', async () => {
  await env.cluster.history('stray', 1, v1, v2);
  const { outcome, message } = await env.run({ deployment: 'stray', context: 'stray' });
  expect(outcome).toBe('refused');
  expect(message).toContain('Context stray is none of the regions in the settings (eu, us)');
});

test('altered workflow code that calls one region by the other’s name changes nothing', async () => {
  await inBoth('renamed');
  const forger = await Forger.of(env.client, env.temporal.address);
  const run = await forger.begin();
  const { workflowId } = run.identity;
  const planned = await Promise.all(
    ['eu', 'us'].map(async (context) => {
      const input = { deployment: 'renamed', namespace: env.cluster.namespace, context };
      const found = await run.call('kubernetes.planDeploymentRollback', input);
      return found as Planned<unknown>;
    }),
  );
  const mandates = await Promise.all(
    planned.map(async ({ plan, seal }) => {
      const { targets, changeHashes, digest } = plan;
      const iat = Math.floor(Date.now() / 1000);
      const confirmed = await (
        await keyOf('on-call')
      ).sign(tokenTypes.decision, {
        ...{ sub: 'on-call', aud: `default/${workflowId}`, run: run.identity.firstRunId },
        ...{ decision: 'approve', digest, iat, exp: iat + 60, executeBy: iat + 60 },
      });
      return {
        ...{ change: plan.changes[0], undo: false, plan: { targets, changeHashes, digest } },
        ...{ run: run.identity, authority: { seal, approvals: [confirmed] } },
      };
    }),
  );
  const [inEu, inUs] = mandates;
  await run.call('kubernetes.restoreTemplate', inEu);
  expect(await env.cluster.image('renamed')).toBe(v1);

  const honest = await run.refused('kubernetes.restoreTemplate', inUs);
  expect(honest.message).toContain('1 cto (more than one region');
  const targets = inUs?.plan.targets.map((target) => ({ ...target, context: 'eu' }));
  const renamed = { ...inUs, plan: { ...inUs?.plan, targets } };
  expect((await run.refused('kubernetes.restoreTemplate', renamed)).type).toBe('NotMandated');
  expect(await us.image('renamed')).toBe(v2);
  await run.end();
  await forger.stop();
});

test('a region that cannot be reached holds up no other', async () => {
  await env.cluster.history('alone', 1, v1, v2);
  await clusters.down();
  expect((await env.run({ deployment: 'alone', context: 'eu' })).outcome).toBe('rolled-back');
});
