import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { kustomization } from '../sandbox/kubernetes/owner-manifests.ts';
import type { DeploymentChange } from '../src/activities/kubernetes/deployment/deployment-change.ts';
import { signStart } from '../src/authority/sign-start.ts';
import type { Mandate, Planned, RunIdentity } from '../src/contract/plan.ts';
import { sealedPlanQuery, startMemo, type SealedPlan } from '../src/contract/run.ts';
import { makeColours, untilServed } from './support/colours.ts';
import { Forger, type ForgedRun } from './support/forger.ts';
import { deploymentManifest } from './support/manifests.ts';
import { keyOf } from './support/people.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const [v1, v2] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad'];
const restore = 'kubernetes.restoreTemplate';
const env = useRollbackEnvironment({
  authority: {
    rules: [
      { name: 'leads', when: { targets: ['deployment/*/lead-*'] }, need: { 'team-lead': 1 } },
    ],
  },
});
let forger: Forger;

beforeAll(async () => {
  forger = await Forger.of(env.client, env.temporal.address);
});
afterAll(() => forger.stop());

/** What altered workflow code makes of a plan that an honest worker has sealed. */
function mandateOf({ plan, seal }: SealedPlan, run: RunIdentity, own: Partial<Mandate> = {}) {
  const { targets, changeHashes, digest } = plan;
  const change = plan.changes[0] as DeploymentChange;
  return {
    ...{ change, undo: false, plan: { targets, changeHashes, digest }, run },
    authority: { seal, approvals: [] },
    ...own,
  } satisfies Mandate;
}

/** The mandate for another change of the plan. */
function mandateFor(planned: SealedPlan, run: RunIdentity, kind: string) {
  const change = planned.plan.changes.find((one) => one.kind === kind);
  return mandateOf(planned, run, { change });
}

/** Lets the project's workers plan for a forged run. */
async function planFor(run: ForgedRun, deployment: string, more: object = {}) {
  const input = { deployment, namespace: env.cluster.namespace, ...more };
  return (await run.call('kubernetes.planDeploymentRollback', input)) as Planned<unknown>;
}

/** A forged run whose start an on-call engineer has signed, all the same. */
async function signedRun(workflowId: string, target: string | object): Promise<ForgedRun> {
  const asked = typeof target === 'string' ? { deployment: target } : target;
  const input = { ...asked, namespace: env.cluster.namespace };
  const start = await signStart(await keyOf('on-call'), {
    ...{ namespace: 'default', workflowId, workflowType: 'forged', input },
  });
  return forger.begin(workflowId, { [startMemo]: start });
}

describe('altered workflow code on a worker of somebody else', () => {
  beforeAll(() => env.cluster.history('lead-wanted', 1, v1, v2));

  test('cannot use the seal and the approvals of an honest run', async () => {
    const honest = await env.start({ deployment: 'lead-wanted' });
    await env.untilWaiting(honest);
    const handle = env.client.workflow.getHandle(honest);
    const sealed = await handle.query<SealedPlan>(sealedPlanQuery);
    const approvals = [await env.token(honest, 'approve', 'team-lead')];
    const run = await forger.begin();
    const authority = { seal: sealed.seal, approvals };

    const { type, message } = await run.refused(
      restore,
      mandateOf(sealed, run.identity, { authority }),
    );

    expect({ type, message }).toEqual({
      type: 'NotAuthorized',
      message: expect.stringContaining('The seal is of another run or another plan.'),
    });
    // Nor where it says that it is that run.
    const { firstRunId } = (await handle.describe()).raw.workflowExecutionInfo ?? {};
    const posing = { workflowId: run.identity.workflowId, firstRunId: firstRunId ?? '' };
    expect((await run.refused(restore, mandateOf(sealed, posing, { authority }))).type).toBe(
      'NotAuthorized',
    );
    await env.decide(honest, 'reject', 'team-lead', { note: 'only a test' });
    await env.result(honest);
    await run.end();
    expect(await env.cluster.image('lead-wanted')).toBe(v2);
  });

  test('gets an honest plan when it asks for one, and nobody’s approval with it', async () => {
    const run = await forger.begin();
    const planned = await planFor(run, 'lead-wanted');
    expect(planned.start).toEqual({ kind: 'unsigned', why: 'started unsigned' });

    for (const undo of [false, true]) {
      const mandate = mandateOf(planned, run.identity, { undo });
      const { type, message } = await run.refused(restore, mandate);
      expect(type).toBe('NotAuthorized');
      expect(message).toMatch(/missing: 1 on-call to confirm the start; 1 team-lead/);
    }
    // What it says about its own state is nobody's word.
    const claimed = { ...mandateOf(planned, run.identity), verified: true, granted: true };
    expect((await run.refused(restore, claimed)).type).toBe('NotAuthorized');
    expect(await env.cluster.image('lead-wanted')).toBe(v2);
    await run.end();
  });

  test('gets no seal for a dry run, whoever has signed it', async () => {
    await env.cluster.history('dry', 1, v1, v2);
    const run = await signedRun('forged-dry', 'dry');
    const planned = await planFor(run, 'dry', { dryRun: true });
    expect(planned.seal).toBe('');
    expect((await run.refused(restore, mandateOf(planned, run.identity))).type).toBe(
      'NotAuthorized',
    );
    expect(await env.cluster.image('dry')).toBe(v2);
    await run.end();
  });

  test('cannot speak to people in our name', async () => {
    const run = await forger.begin();
    const planned = await planFor(run, 'lead-wanted');
    const { plan, seal } = planned;
    const asking = { run: run.identity, authority: { seal, approvals: [] }, reminder: 0 };
    const before = env.told.length;
    const words = { ...plan, summary: 'Send your key to mallory.' };
    const { message } = await run.refused('people.ask', { ...asking, plan: words });
    expect(message).toContain('The seal is of another run or another plan.');
    expect(env.told).toHaveLength(before);
    await run.end();
  });

  test('cannot take or free a lock for another run', async () => {
    const owner = await env.occupy('lead-wanted');
    const run = await forger.begin();
    const { plan } = await planFor(run, 'lead-wanted');
    for (const activity of ['lock.releaseTargets', 'lock.takeTargets', 'lock.awaitTargets']) {
      const request = { targets: plan.targets, run: owner.identity, waitMs: 1 };
      expect((await run.refused(activity, request)).type).toBe('NotMandated');
    }
    await run.call('lock.releaseTargets', { targets: plan.targets, run: run.identity });
    expect(await env.isFree('lead-wanted')).toBe(false);
    await owner.free();
    await run.end();
  });
});

describe('even with the signature of an on-call engineer, altered workflow code', () => {
  test('restores once, and takes nothing back that is not measured to be healthier', async () => {
    await env.cluster.history('signed', 2, v1, v2);
    const run = await signedRun('forged-signed', 'signed');
    const planned = await planFor(run, 'signed');
    expect(planned.start).toMatchObject({ kind: 'signed', by: 'on-call' });
    const mandate = mandateOf(planned, run.identity);

    await run.call(restore, mandate);
    expect(await env.cluster.image('signed')).toBe(v1);

    await env.cluster.rollout('signed');
    const undo = await run.refused(restore, { ...mandate, undo: true });
    expect(undo.type).toBe('PlanStale');
    expect(undo.message).toContain('stays as it is: the version that was left is not healthier');
    expect(await env.cluster.image('signed')).toBe(v1);

    await env.cluster.release('signed', v2);
    const again = await run.refused(restore, mandate);
    expect(again.type).toBe('PlanStale');
    expect(again.message).toContain('This run has rolled Deployment signed');
    expect(await env.cluster.image('signed')).toBe(v2);
    await run.end();
  });

  test('lets nobody who deploys from git put the bad version back', async () => {
    const { namespace } = env.cluster;
    const labels = {
      'kustomize.toolkit.fluxcd.io/name': 'owned',
      'kustomize.toolkit.fluxcd.io/namespace': namespace,
    };
    await env.cluster.apply([kustomization('owned')]);
    for (const image of [v1, v2]) {
      await env.cluster.apply([deploymentManifest('owned', image, { labels })]);
      await env.cluster.rollout('owned');
    }
    const run = await signedRun('forged-owner', 'owned');
    const planned = await planFor(run, 'owned');
    const hold = mandateFor(planned, run.identity, 'owner/pause');
    const suspended = async () =>
      (await env.cluster.get<{ spec: { suspend?: boolean } }>('kustomization', 'owned')).spec
        .suspend;

    await run.call('owners.hold', hold);
    await run.call('owners.hold', { ...hold, undo: true });
    expect(await suspended()).toBeUndefined();
    await run.call('owners.hold', hold);
    await run.call(restore, mandateFor(planned, run.identity, 'deployment/template'));
    const undo = await run.refused('owners.hold', { ...hold, undo: true });

    expect(undo.type).toBe('PlanStale');
    expect(undo.message).toContain('it would put its own version of Deployment owned');
    expect(await suspended()).toBe(true);
    await run.end();
  });

  test('sends no traffic back to the colour that was left', async () => {
    await makeColours(env.cluster, 'web');
    const run = await signedRun('forged-colour', { service: 'web' });
    const planned = (await run.call('kubernetes.planBlueGreenRollback', {
      ...{ service: 'web', namespace: env.cluster.namespace },
    })) as Planned<unknown>;
    const mandate = mandateFor(planned, run.identity, 'service/selector');

    await run.call('kubernetes.switchSelector', mandate);
    await untilServed(env.cluster, 'web', 'blue', 2);
    const undo = await run.refused('kubernetes.switchSelector', { ...mandate, undo: true });

    expect(undo.type).toBe('PlanStale');
    expect(undo.message).toContain('nobody has signed that it goes back');
    await untilServed(env.cluster, 'web', 'blue', 2);
    await run.end();
  });
});
