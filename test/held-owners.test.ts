import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import { execa } from 'execa';
import {
  application,
  helmRelease,
  kustomization,
  trackedBy,
} from '../sandbox/kubernetes/owner-manifests.ts';
import type { ListedHold } from '../src/activities/owners/list-holds.ts';
import { targetKey } from '../src/contract/plan.ts';
import type { RunResult } from '../src/contract/run.ts';
import { CommandLine } from './support/command-line.ts';
import { eventually } from './support/eventually.ts';
import { deploymentManifest } from './support/manifests.ts';
import { marksOf, read } from './support/owners.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const red = { smoke: { command: ['false'], retries: 0 } };
const env = useRollbackEnvironment({
  services: {
    aborted: { deployment: 'aborted', checks: red },
    'second-aborted': { deployment: 'second-aborted', checks: red },
  },
  owners: { remindEvery: '1s' },
});

/** A bad release of a Deployment that these owners have deployed. */
async function deploy(name: string, about: object): Promise<void> {
  const one = { replicas: 1, ...about };
  await env.cluster.apply([deploymentManifest(name, v1, one)]);
  await env.cluster.pods(name, v1);
  await env.cluster.apply([deploymentManifest(name, v2, one)]);
  await env.cluster.pods(name, v2);
}

/** A bad release that an Application of Argo CD has deployed. */
async function deployBy(name: string, ...applications: string[]): Promise<void> {
  const [own = name] = applications;
  await deploy(name, trackedBy(own, 'apps/Deployment', env.cluster.namespace, name));
}

const policyOf = async (name: string) => (await env.cluster.specOf('application', name)).syncPolicy;
const automated = { automated: { prune: true, selfHeal: true } };

function cli(): CommandLine {
  return new CommandLine({
    TEMPORAL_ADDRESS: env.temporal.address,
    ROLLBACK_CONFIG: env.settingsFile,
  });
}

/** Status of the workflow that reminds of a hold. */
async function reminderOf(kind: string, name: string): Promise<string> {
  const { metadata } = await read(env.cluster, kind, name);
  const [namespace, uid] = [env.cluster.namespace, metadata?.uid ?? ''];
  const key = targetKey({ kind: 'application', context: '', namespace, name, uid });
  const id = `hold:${key.replace(/^application/, kind)}`;
  try {
    return (await env.client.workflow.getHandle(id).describe()).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'none';
    throw error;
  }
}

function stepsOf({ steps }: RunResult): string[] {
  return steps.map(({ title, state }) => `${title}: ${state}`);
}

describe('after a rollback its owner does not bring the bad version back', () => {
  test.concurrent('Argo CD, until it is released with exactly what it had', async () => {
    await env.cluster.apply([
      application('shop', { ...automated, syncOptions: ['CreateNamespace=true'] }),
    ]);
    await deployBy('shop');
    const before = await read(env.cluster, 'application', 'shop');

    const result = await env.run({ deployment: 'shop' });

    expect(result.outcome).toBe('rolled-back');
    expect(stepsOf(result)[0]).toBe(`Pause application ${env.cluster.namespace}/shop: done`);
    expect(await env.cluster.image('shop')).toBe(v1);
    expect(await policyOf('shop')).toEqual({ syncOptions: ['CreateNamespace=true'] });
    expect(result.next.join('\n')).toMatch(
      /application .*\/shop is held since .*rollback release application\/shop/,
    );
    const [held] = await cli().json<ListedHold[]>('holds');
    const shown = held?.find(({ owner }) => owner.name === 'shop');
    expect(shown?.reasons).toMatchObject([
      { workflowId: result.workflowId, by: 'on-call', protects: [{ name: 'shop' }] },
    ]);

    const released = await env.release('application/shop');

    expect(released.outcome).toBe('rolled-back');
    // No controller has ever compared it.
    expect(released.plan?.warnings.join('\n')).toContain('Argo CD has not said yet how git');
    const after = await read(env.cluster, 'application', 'shop');
    expect(after.spec).toEqual(before.spec);
    expect(marksOf(after)).toEqual(marksOf(before));
    const again = await env.release('application/shop');
    expect(again.outcome).toBe('no-op');
    expect(again.message).toContain('is not held');
  });

  test.concurrent.each([
    ['kustomization', 'kustomize', kustomization],
    ['helmrelease', 'helm', helmRelease],
  ])('Flux: a %s', async (kind, group, manifest) => {
    const name = `by-${kind}`;
    const labels = {
      [`${group}.toolkit.fluxcd.io/name`]: name,
      [`${group}.toolkit.fluxcd.io/namespace`]: env.cluster.namespace,
    };
    await env.cluster.apply([manifest(name)]);
    await deploy(name, { labels });
    const before = await read(env.cluster, kind, name);

    const result = await env.run({ deployment: name });

    expect(result.outcome).toBe('rolled-back');
    expect(await env.cluster.specOf(kind, name)).toEqual({ ...before.spec, suspend: true });
    expect((await env.release(`${kind}/${name}`)).outcome).toBe('rolled-back');
    const after = await read(env.cluster, kind, name);
    expect(after.spec).toEqual(before.spec);
    expect(marksOf(after)).toEqual(marksOf(before));
  });

  test.concurrent('nor does the application that would turn its auto-sync on again', async () => {
    const { namespace } = env.cluster;
    const child = trackedBy('root', 'argoproj.io/Application', namespace, 'child');
    await env.cluster.apply([
      application(
        'root',
        automated,
        trackedBy('root', 'argoproj.io/Application', namespace, 'root'),
      ),
      application('child', automated, child),
    ]);
    await deployBy('child');

    const result = await env.run({ deployment: 'child' });

    expect(stepsOf(result).slice(0, 2)).toEqual([
      `Pause application ${namespace}/root: done`,
      `Pause application ${namespace}/child: done`,
    ]);
    expect(await policyOf('root')).toEqual({});

    await env.release('application/child');

    expect(await policyOf('child')).toEqual(automated);
    expect(await policyOf('root')).toEqual(automated);
  });

  test.concurrent('nor does a sync that is under way and that it began by itself', async () => {
    await env.cluster.apply([application('syncing')]);
    const operationState = {
      ...{ phase: 'Running', startedAt: '2025-01-10T14:30:00Z' },
      operation: { initiatedBy: { automated: true }, sync: {} },
    };
    const patch = JSON.stringify({ status: { operationState } });
    await env.cluster.kubectl('patch', 'application', 'syncing', '--type=merge', '-p', patch);
    await deployBy('syncing');

    const result = await env.run({ deployment: 'syncing' });

    expect(result.plan?.warnings.join('\n')).toContain('has begun by itself is ended');
    const { status } = (await read(env.cluster, 'application', 'syncing')) as unknown as {
      status: { operationState: { phase: string } };
    };
    expect(status.operationState.phase).toBe('Terminating');
  });
});

describe('a run that goes back', () => {
  test.concurrent('restores the policy exactly', async () => {
    await env.cluster.apply([application('aborted', { automated: {} })]);
    await deployBy('aborted');
    const before = await read(env.cluster, 'application', 'aborted');

    const paused = await env.runUntilPaused({ deployment: 'aborted' });
    expect(await policyOf('aborted')).toEqual({});
    const result = await env.abort(paused);

    expect(result.outcome).toBe('aborted');
    expect(result.next).toEqual([]);
    expect(await env.cluster.image('aborted')).toBe(v2);
    const after = await read(env.cluster, 'application', 'aborted');
    expect(after.spec).toEqual(before.spec);
    expect(marksOf(after)).toEqual(marksOf(before));
    await eventually('the reminder has ended', async () => {
      return (await reminderOf('application', 'aborted')) === 'COMPLETED';
    });
  });

  test.concurrent('leaves held what another run needs held', async () => {
    await env.cluster.apply([application('both')]);
    await Promise.all([deployBy('first', 'both'), deployBy('second-aborted', 'both')]);
    const first = await env.run({ deployment: 'first' });
    expect(first.outcome).toBe('rolled-back');

    const second = await env.abort(await env.runUntilPaused({ deployment: 'second-aborted' }));

    expect(second.outcome).toBe('aborted');
    expect(await policyOf('both')).toEqual({});
    await env.release('application/both');
    expect(await policyOf('both')).toEqual(automated);
  });
});

describe('what somebody else has changed stays theirs', () => {
  test.concurrent('between plan and step: the plan is made anew', async () => {
    await env.cluster.apply([application('edited')]);
    await deployBy('edited');
    const theirs = { automated: { prune: false } };

    const id = await env.startInterrupted({ deployment: 'edited' }, () =>
      env.cluster.apply([application('edited', theirs)]),
    );

    const waiting = await env.untilWaiting(id);
    expect(waiting.plannedAgain).toContain('application edited');
    expect(await policyOf('edited')).toEqual(theirs);
    await env.decide(id, 'approve', 'on-call-2');
    expect((await env.result(id)).outcome).toBe('rolled-back');
    await env.release('application/edited');
    expect(await policyOf('edited')).toEqual(theirs);
  });

  test.concurrent('while it is held: nothing is put back over it', async () => {
    await env.cluster.apply([application('turned-on')]);
    await deployBy('turned-on');
    await env.run({ deployment: 'turned-on' });
    const theirs = { automated: { selfHeal: false } };
    await env.cluster.apply([application('turned-on', theirs)]);

    const [held] = await cli().json<ListedHold[]>('holds');
    expect(held?.find(({ owner }) => owner.name === 'turned-on')?.isHeld).toBe(false);
    const released = await env.release('application/turned-on');

    expect(released.plan?.summary).toContain('Somebody has changed automated');
    expect(await policyOf('turned-on')).toEqual(theirs);
    const [left] = await cli().json<ListedHold[]>('holds');
    expect(left?.some(({ owner }) => owner.name === 'turned-on')).toBe(false);
  });

  test.concurrent('the Deployment, after its owner was paused: the owner acts again', async () => {
    await env.cluster.apply([application('overtaken')]);
    await deployBy('overtaken');

    const id = await env.startInterrupted({ deployment: 'overtaken' }, () =>
      env.cluster.release('overtaken', 'wakala/api:3.0.0', false),
    );

    const waiting = await env.untilWaiting(id);
    expect(waiting.plannedAgain).toContain('Deployment overtaken');
    expect(await policyOf('overtaken')).toEqual(automated);
    await env.decide(id, 'reject', 'on-call');
    expect((await env.result(id)).outcome).toBe('rejected');
  });
});

describe('people are reminded of a hold', () => {
  const toldOf = (name: string) =>
    env.told.filter(({ text }) => text.includes(`application ${name} in`));

  test.concurrent('again and again, until a run releases it', async () => {
    await env.cluster.apply([application('reminded')]);
    await deployBy('reminded');
    const { workflowId } = await env.run({ deployment: 'reminded' });

    await eventually('somebody is told twice', () =>
      Promise.resolve(toldOf('reminded').length > 1),
    );
    expect(toldOf('reminded')[0]).toMatchObject({ workflowId, roles: ['on-call'], urgent: false });
    expect(toldOf('reminded')[0]?.text).toMatch(/is still held since .*rollback release/);
    await env.release('application/reminded');

    await eventually('the reminder has ended', async () => {
      return (await reminderOf('application', 'reminded')) === 'COMPLETED';
    });
    const [listed] = await cli().json<{ workflowId: string }[]>('list', '--limit', '200');
    expect(listed?.filter((run) => run.workflowId.startsWith('hold:'))).toEqual([]);
  });

  test.concurrent('until somebody turns it on by hand', async () => {
    await env.cluster.apply([application('by-hand')]);
    await deployBy('by-hand');
    await env.run({ deployment: 'by-hand' });
    expect(await reminderOf('application', 'by-hand')).toBe('RUNNING');

    await env.cluster.apply([application('by-hand')]);

    await eventually('the reminder has ended', async () => {
      return (await reminderOf('application', 'by-hand')) === 'COMPLETED';
    });
  });
});

describe('an ApplicationSet', () => {
  const definition = 'crd/applicationsets.argoproj.io';
  beforeAll(async () => {
    const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    const names = { kind: 'ApplicationSet', plural: 'applicationsets' };
    const version = { name: 'v1alpha1', served: true, storage: true };
    await env.cluster.apply([
      {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'applicationsets.argoproj.io' },
        spec: {
          ...{ group: 'argoproj.io', scope: 'Namespaced', names },
          versions: [{ ...version, schema: { openAPIV3Schema: schema } }],
        },
      },
    ]);
    await env.cluster.kubectl('wait', '--for=condition=established', definition);
  });
  afterAll(() => execa('kubectl', ['delete', definition]));

  test('leaves the pause of what it has made alone, and its own list comes back', async () => {
    const kept = { jsonPointers: ['/spec/source/targetRevision'] };
    const set = {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'ApplicationSet',
      metadata: { name: 'shops' },
      spec: { ignoreApplicationDifferences: [kept] },
    };
    await env.cluster.apply([set]);
    const { metadata } = await read(env.cluster, 'applicationset', 'shops');
    const maker = { apiVersion: set.apiVersion, kind: set.kind, name: 'shops', uid: metadata?.uid };
    await env.cluster.apply([
      application('made', automated, { ownerReferences: [{ ...maker, controller: true }] }),
    ]);
    await deployBy('made');

    const result = await env.run({ deployment: 'made' });

    expect(result.outcome).toBe('rolled-back');
    const { spec } = await read(env.cluster, 'applicationset', 'shops');
    expect(spec.ignoreApplicationDifferences).toMatchObject([
      kept,
      { jsonPointers: expect.arrayContaining(['/spec/syncPolicy/automated']) as unknown },
    ]);
    await env.release('application/made');
    expect(await env.cluster.specOf('applicationset', 'shops')).toEqual(set.spec);
    expect(await policyOf('made')).toEqual(automated);
  });
});
