/**
 * The life of a run, the same for every procedure: validate, plan, approvals, lock, steps, verify,
 * and in every case an end that says what stands. A procedure only says what to plan and which steps to
 * take, so that it cannot forget a safeguard.
 */
import { isCancellation, patched, workflowInfo } from '@temporalio/workflow';
import { durationMs } from '../../contract/duration.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { InputOf, Procedure } from '../../contract/input.ts';
import type { Plan, Planned, RunIdentity } from '../../contract/plan.ts';
import { shellWord } from '../../contract/printable.ts';
import type { RunResult } from '../../contract/run.ts';
import { awaitApprovals } from './approvals.ts';
import { Decisions } from './decisions.ts';
import { freeLocks, freeLocksOfEarlier, isReset, takeLocks } from './locks.ts';
import {
  finish,
  holderOf,
  isOutcome,
  isPlanVoid,
  messageOf,
  outcomeBeforeAnyChange,
  typedCause,
} from './outcome.ts';
import { holdOwners, leftHeld } from './owners.ts';
import { lock, stepTitle } from './proxies.ts';
import { StatusBoard } from './status.ts';
import { missedRegions, planEverywhere, takeStepsEverywhere } from './regions.ts';
import type { Run } from './run.ts';
import { WholeRun } from './steps.ts';

export interface Runbook<P extends Procedure> {
  /**
   * One read-only activity that validates the input, resolves whatever may be ambiguous later, and
   * seals what it found. `earlier` is the digest of the plan that this one replaces.
   */
  plan: (input: unknown, earlier?: string, region?: string) => Promise<Planned<InputOf<P>>>;
  /** Verified at their end, unless they did so before what must rest on it (`run.verify()`). */
  steps: (run: Run, input: InputOf<P>) => Promise<void>;
  /** What is left for people where all went well, from the plan and the run's id. */
  next?: (plan: Plan, workflowId: string) => string[];
  /** What to do by hand where the run could not finish, from its plan and its id. */
  byHand: (plan: Plan, workflowId: string) => string[];
}

/** What belongs to one run from its beginning to its end. */
interface Parts<P extends Procedure> {
  definition: Runbook<P>;
  identity: RunIdentity;
  board: StatusBoard;
  decisions: Decisions;
}

/** The world, or the rules, have changed since a plan was made, and nothing was changed by the run. */
interface PlanAgain {
  why: string;
  /** Whether it was the world that did not fit the plan, rather than its approvals. */
  isStale: boolean;
  /** Digest of the plan that does not hold any more. */
  earlier: string;
}

/** Makes a procedure a workflow that takes one JSON object and ends with a RunResult. */
export function runbook<P extends Procedure>(procedure: P, definition: Runbook<P>) {
  return async (input: unknown): Promise<RunResult> => {
    const { workflowId, firstExecutionRunId } = workflowInfo();
    const identity: RunIdentity = { workflowId, firstRunId: firstExecutionRunId };
    const board = new StatusBoard(procedure);
    const decisions = new Decisions(identity, (changed) => board.showDecisions(changed));
    const result = await live({ definition, identity, board, decisions }, input);
    await decisions.finish('The run has ended.');
    return finish(result);
  };
}

async function live<P extends Procedure>(parts: Parts<P>, input: unknown): Promise<RunResult> {
  let again: PlanAgain | undefined;
  for (;;) {
    const prepared = await prepare(parts, input, again);
    if ('outcome' in prepared) return prepared;
    if ('why' in prepared) {
      again = prepared;
      continue;
    }
    const carriedOut = await carryOut(parts, prepared);
    if ('outcome' in carriedOut) return carriedOut;
    again = carriedOut;
  }
}

/** Plans, waits for approvals and takes the locks; answers a result where it ends there. */
async function prepare<P extends Procedure>(
  { definition, identity, board, decisions }: Parts<P>,
  rawInput: unknown,
  again: PlanAgain | undefined,
): Promise<Planned<InputOf<P>> | RunResult | PlanAgain> {
  let plan: Plan | undefined;
  let freed: Promise<void> | undefined;
  try {
    const planned = await stepTitle.run('Plan', () =>
      planEverywhere(definition.plan, rawInput, again?.earlier),
    );
    const { input, assessment } = planned;
    plan = planned.plan;
    board.planned(planned);
    if (isReset(planned, identity)) freed = freeLocksOfEarlier(plan, identity);
    if (plan.changes.length === 0) {
      const isLastWord = input.dryRun || input.wait !== undefined;
      // What stands there may be the work of another run that has not come to its end.
      if (!isLastWord && patched('no-op-is-nobody-elses')) {
        await lock.assertFree({ targets: plan.targets, run: identity });
      }
      return endWithoutChanges(plan, board);
    }
    if (input.dryRun) return board.end('dry-run', `Dry run, nothing changed. ${plan.summary}`, []);
    // The same plan again, with nothing that people could add to it, would end in the same way again.
    if (again?.earlier === plan.digest && (again.isStale || assessment.granted)) {
      return board.end('refused', again.why, ['Nothing was changed.']);
    }
    // Nobody is woken for what could not begin.
    const mayWait = assessment.granted || input.wait !== undefined;
    if (!mayWait && patched('busy-before-people')) {
      await lock.assertFree({ targets: plan.targets, run: identity });
    }
    const approval = await awaitApprovals(planned, decisions, board);
    if (approval.outcome === 'void') {
      decisions.suspend();
      board.planAgain(approval.text);
      return { why: approval.text, isStale: false, earlier: plan.digest };
    }
    if (approval.outcome !== 'granted') {
      return board.end(approval.outcome, approval.text, ['Nothing was changed.']);
    }
    await freed;
    const request = { targets: plan.targets, run: identity };
    await decisions.stop.unlessStopped(() => takeLocks(request, input.wait, board));
    return planned;
  } catch (error) {
    if (!isOutcome(error)) throw error;
    // Some of several locks may have been taken.
    if (plan) await freeLocks(plan, identity, true);
    board.status.heldBy = holderOf(error);
    const next = ['Nothing was changed.', ...toEnd(board.status.heldBy)];
    return board.end(outcomeBeforeAnyChange(error), messageOf(error), next);
  } finally {
    await freed;
  }
}

/** How somebody gets a run out of the way. */
function toEnd(holder: string | undefined): string[] {
  if (holder === undefined) return [];
  const id = shellWord(holder);
  return [
    `See what that run is at: rollback status ${id}; take back what it has done: rollback abort ${id}`,
  ];
}

/** Nothing to do is no success where somebody could not be asked. */
function endWithoutChanges(plan: Plan, board: StatusBoard): RunResult {
  const missed = missedRegions(plan);
  if (missed.length === 0) return board.end('no-op', plan.summary, []);
  return board.end('unreachable', [plan.summary, ...missed].join(' '), ['Nothing was changed.']);
}

/** Takes the steps of an approved plan and verifies; undoes them or plans again where it must. */
async function carryOut<P extends Procedure>(
  { definition, identity, board, decisions }: Parts<P>,
  { input, plan, wait }: Planned<InputOf<P>>,
): Promise<RunResult | PlanAgain> {
  const onFailure = input.onFailure ?? (input.trigger === 'automatic' ? 'compensate' : 'pause');
  const { decisionTimeout } = input;
  const decisionTimeoutMs =
    decisionTimeout === undefined ? wait.decisionTimeoutMs : durationMs(decisionTimeout);
  const run = new WholeRun(plan, decisions, board, {
    ...{ onFailure, holding: { ...wait, decisionTimeoutMs } },
  });
  let result: RunResult | PlanAgain;
  try {
    board.enter('executing', plan.summary);
    for (const missed of missedRegions(plan)) board.addGap(missed);
    await run.unlessStopped(async () => {
      await takeStepsEverywhere(run, { input, wait }, async (there) => {
        await holdOwners(there);
        await definition.steps(there, input);
      });
      await run.verify();
    });
    const next = [
      ...missedRegions(plan),
      ...leftHeld(plan, board.status.steps),
      ...(definition.next?.(plan, identity.workflowId) ?? []),
    ];
    result = board.end('rolled-back', plan.summary, next);
  } catch (error) {
    if (!isOutcome(error)) throw error;
    if (!run.changedAnything && isPlanVoid(error) && (await leavesNothing(run))) {
      const isStale = typedCause(error)?.type === failureTypes.planStale;
      result = { why: messageOf(error), isStale, earlier: plan.digest };
      decisions.suspend();
      board.planAgain(result.why);
    } else {
      result = await goBack(definition, run, error, board);
    }
  }
  await freeLocks(plan, identity, 'outcome' in result);
  return result;
}

/** Hands back what an effect may have left whose answer was lost; false where that cannot be done. */
async function leavesNothing(run: WholeRun): Promise<boolean> {
  try {
    await run.compensation.cutShort(false);
  } catch (error) {
    if (!isOutcome(error)) throw error;
    // Who is not allowed to begin has left nothing.
    if (typedCause(error)?.type !== failureTypes.notAuthorized) return false;
  }
  return run.compensation.takeBackAsides();
}

/** A run that was aborted or cancelled, or goes back by itself: undoes what may be, and says what stands. */
async function goBack<P extends Procedure>(
  definition: Runbook<P>,
  run: WholeRun,
  error: unknown,
  board: StatusBoard,
): Promise<RunResult> {
  const cause = messageOf(error);
  const asked = run.isAborted || isCancellation(error);
  board.enter('compensating', `Going back: ${cause}`);
  const left = await run.compensation.compensate();
  left.push(...(await run.compensation.cutShort(true)));
  if (left.length === 0) return board.end(asked ? 'aborted' : 'compensated', cause, left);
  const held = leftHeld(run.plan, board.status.steps);
  return board.end('failed', cause, [
    ...left,
    ...definition.byHand(run.plan, workflowInfo().workflowId),
    ...held,
  ]);
}
