import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DeploymentChange } from '../src/activities/kubernetes/deployment/deployment-change.ts';
import type { Deployment } from '../src/activities/kubernetes/deployment/revisions.ts';
import { activityClasses, classOf, isGuarded } from '../src/contract/activities.ts';
import { hashOf, planDigest, digestPlan } from '../src/contract/digest.ts';
import type { SealClaims } from '../src/contract/authority.ts';
import { tokenTypes } from '../src/contract/decision.ts';
import type { Change, Mandate, Plan, RunIdentity } from '../src/contract/plan.ts';
import { assertSameNames } from '../src/workers/activities.ts';
import { assertMandate } from '../src/workers/guard.ts';
import { keyOf } from './support/people.ts';
import { Forger } from './support/forger.ts';
import { useRollbackEnvironment } from './support/rollback-environment.ts';

const env = useRollbackEnvironment();
const [v1, v2, v3] = ['wakala/api:1.0.0', 'wakala/api:2.0.0-bad', 'wakala/api:3.0.0'];
const guarded = Object.entries(activityClasses)
  .filter(([, activityClass]) => isGuarded(activityClass))
  .map(([name]) => name);

let forger: Forger;
/** Honest plans for the two Deployments of this file. */
let victim: Plan;
let other: Plan;

beforeAll(async () => {
  [forger] = await Promise.all([
    Forger.of(env.client, env.temporal.address),
    env.cluster.history('victim', 1, v1, v2),
    env.cluster.history('other', 1, v3, v2),
  ]);
  const planned = async (deployment: string) =>
    (await env.run({ deployment, dryRun: true })).plan as Plan;
  [victim, other] = await Promise.all([planned('victim'), planned('other')]);
});
afterAll(() => forger.stop());

function changeOf(plan: Plan): DeploymentChange {
  return plan.changes[0] as DeploymentChange;
}

/** A mandate in which everything fits together but that nobody signed. */
function mandate(change: Change, run: RunIdentity, undo = false): Mandate {
  const { targets, changeHashes, digest } = digestPlan({
    ...victim,
    targets: [change.target],
    changes: [change],
  });
  const plan = { targets, changeHashes, digest };
  return { change, undo, plan, run, authority: { seal: '', approvals: [] } };
}

/** A mandate that only a worker that lies can make: with a seal that says what it likes. */
async function sealed(change: Change, run: RunIdentity, undo = false): Promise<Mandate> {
  const unsigned = mandate(change, run, undo);
  const [worker, onCall] = await Promise.all([keyOf('worker'), keyOf('on-call')]);
  const iat = Math.floor(Date.now() / 1000);
  const claims: SealClaims = {
    ...{ aud: `default/${run.workflowId}`, run: run.firstRunId, digest: unsigned.plan.digest },
    ...{
      execution: run.firstRunId,
      checks: [],
      plan: 'any',
      scope: { changes: [], regions: [] },
      iat,
      executeBy: iat + 600,
    },
    start: { kind: 'signed', by: 'on-call', kid: onCall.kid },
  };
  const seal = await worker.sign(tokenTypes.seal, claims);
  return { ...unsigned, authority: { seal, approvals: [] } };
}

/** How a forged call was turned away; both Deployments must be as they were before. */
async function refusal(
  argument: (run: RunIdentity) => unknown,
  activity = 'kubernetes.restoreTemplate',
) {
  const versions = async () =>
    (await env.cluster.list<Deployment>('deployment')).map(({ metadata }) => [
      metadata?.name,
      metadata?.generation,
      metadata?.annotations,
    ]);
  const before = await versions();
  const failure = await forger.ask(activity, argument);
  expect(await versions()).toEqual(before);
  expect(failure.nonRetryable).toBe(true);
  return failure;
}

describe('somebody else’s workflow changes nothing', () => {
  test.each(guarded)('without a mandate: %s', async (activity) => {
    for (const argument of [undefined, 'please', {}, { change: changeOf(victim) }]) {
      const { type, message } = await refusal(() => argument, activity);
      expect(type).toBe('NotMandated');
      expect(message).toContain('without a mandate');
    }
  });

  test('with a change that is in no plan', async () => {
    const change = { ...changeOf(victim), after: changeOf(other).after };
    const { type, message } = await refusal((run) => ({
      ...mandate(changeOf(victim), run),
      change,
    }));
    expect(type).toBe('NotMandated');
    expect(message).toContain('is not in the plan');
  });

  test('with a change of one plan and the hashes of another', async () => {
    const { type, message } = await refusal((run) => ({
      ...mandate(changeOf(other), run),
      change: changeOf(victim),
    }));
    expect(type).toBe('NotMandated');
    expect(message).toContain('is not in the plan');
  });

  test('with a change slipped into a plan whose digest people know', async () => {
    const change = { ...changeOf(victim), after: changeOf(other).after };
    const changeHashes = [...victim.changeHashes, hashOf(change)];
    const { type, message } = await refusal((run) => ({
      ...mandate(change, run),
      plan: { ...victim, changeHashes },
    }));
    expect(type).toBe('NotMandated');
    expect(message).toContain('does not have the digest');
  });

  test('with a plan for another target', async () => {
    const change = changeOf(victim);
    const changeHashes = [hashOf(change)];
    const plan = { ...other, changeHashes, digest: planDigest(other.targets, changeHashes) };
    const { type, message } = await refusal((run) => ({ ...mandate(change, run), plan }));
    expect(type).toBe('NotMandated');
    expect(message).toContain('is not about a target of its plan');
  });

  test('in the name of another run', async () => {
    const { type, message } = await refusal(({ firstRunId }) =>
      mandate(changeOf(victim), { workflowId: 'honest-run', firstRunId }),
    );
    expect(type).toBe('NotMandated');
    expect(message).toContain('is of run honest-run, not of forged-');
  });

  test('while a run holds the target', async () => {
    const owner = await env.occupy('victim');
    const { type, message } = await refusal((run) => sealed(changeOf(victim), run));
    expect(type).toBe('TargetBusy');
    expect(message).toContain(owner.identity.workflowId);
    await owner.free();
  });

  test('with the pods of another Deployment', async () => {
    const change = { ...changeOf(victim), after: changeOf(other).after };
    const { type, message } = await refusal((run) => sealed(change, run));
    expect(type).toBe('PlanStale');
    expect(message).toContain('is no longer in its history');
  });

  test('to undo what it never did, with the pods of another Deployment as what to go back to', async () => {
    const { before } = changeOf(other);
    const after = { ...before, surge: false };
    const change = { ...changeOf(other), before: changeOf(victim).after, after };
    const { type, message } = await refusal((run) => sealed(change, run, true));
    expect(type).toBe('PlanStale');
    expect(message).toContain('was not rolled back by this run');
  });

  test('with a Deployment that has the name of the planned one', async () => {
    const change = changeOf(victim);
    const target = { ...change.target, uid: 'of-an-earlier-one' };
    const { type } = await refusal((run) => sealed({ ...change, target }, run));
    expect(type).toBe('PlanStale');
  });
});

test('an honest mandate passes, in whatever order its keys come', () => {
  const honest = mandate(changeOf(victim), { workflowId: 'honest-run', firstRunId: 'any' });
  expect(() => assertMandate(honest, 'honest-run')).not.toThrow();
  const { target, ...rest } = honest.change;
  expect(() =>
    assertMandate({ ...honest, change: { target, ...rest } }, 'honest-run'),
  ).not.toThrow();
  expect(() => assertMandate(honest, 'another')).toThrow('not of another');
});

describe('no activity gets past the guard unseen', () => {
  test('because a worker starts only with exactly the activities of the contract', () => {
    const names = Object.keys(activityClasses);
    expect(() => assertSameNames(names.toReversed(), names)).not.toThrow();
    expect(() => assertSameNames([...names, 'kubernetes.deleteAll'], names)).toThrow(
      'kubernetes.deleteAll is not in the contract',
    );
    expect(() => assertSameNames(names.slice(1), names)).toThrow(
      `${names[0]} has no implementation`,
    );
  });

  test('because a name that is not in the contract has no class', () => {
    expect(classOf('kubernetes.restoreTemplate')).toBe('mutate');
    expect(classOf('kubernetes.driveRollout')).toBe('drive');
    for (const name of ['kubernetes.deleteAll', '', 'constructor', '__proto__', 'toString']) {
      expect(classOf(name)).toBeUndefined();
    }
  });

  test('and everything that changes a cluster is of a class that is guarded', () => {
    expect(guarded).toEqual(
      expect.arrayContaining([
        'kubernetes.restoreTemplate',
        'kubernetes.driveRollout',
        'kubernetes.handBackDeployment',
      ]),
    );
  });
});
