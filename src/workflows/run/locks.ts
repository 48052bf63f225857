/** The locks of a plan's targets, as a run takes and frees them. */
import { CancellationScope, log, sleep } from '@temporalio/workflow';
import type { LockRequest } from '../../activities/lock/index.ts';
import { lastActivityMayLiveMs } from '../../contract/activities.ts';
import { durationMs } from '../../contract/duration.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Plan, Planned, RunIdentity } from '../../contract/plan.ts';
import { isOutcome, messageOf, typedCause } from './outcome.ts';
import { lock } from './proxies.ts';
import type { StatusBoard } from './status.ts';

/**
 * Takes the locks of all targets, waiting at most `wait` for those that other runs hold.
 * @throws TargetBusy
 */
export async function takeLocks(
  request: LockRequest,
  wait: string | undefined,
  board: StatusBoard,
): Promise<void> {
  const giveUp = Date.now() + (wait === undefined ? 0 : durationMs(wait));
  for (;;) {
    try {
      return await lock.takeTargets(request);
    } catch (error) {
      const busy = typedCause(error)?.type === failureTypes.targetBusy;
      const waitMs = giveUp - Date.now();
      if (!busy || waitMs <= 0) throw error;
      board.enter('planning', `Waiting: ${messageOf(error)}`);
      await lock.awaitTargets({ ...request, waitMs });
    }
  }
}

export function isReset({ execution }: Planned<unknown>, { firstRunId }: RunIdentity): boolean {
  // Plans of earlier versions do not say.
  return execution !== undefined && execution !== firstRunId;
}

/**
 * A run may have held its locks when it was reset, and must not while it waits for people. But what
 * it had begun then may still act until it misses its heartbeat.
 */
export function freeLocksOfEarlier(plan: Plan, run: RunIdentity): Promise<void> {
  return CancellationScope.nonCancellable(async () => {
    await sleep(lastActivityMayLiveMs, { summary: 'what was begun before the reset has ended' });
    await freeLocks(plan, run, false);
  });
}

/**
 * Frees the locks of the plan's targets that this run holds, also where it was cancelled.
 * @param ends whether it does nothing any more
 */
export async function freeLocks({ targets }: Plan, run: RunIdentity, ends: boolean): Promise<void> {
  try {
    await CancellationScope.nonCancellable(() => lock.releaseTargets({ targets, run, ends }));
  } catch (error) {
    // The result counts for more than a lock, which is taken over once its run has ended.
    if (!isOutcome(error)) throw error;
    log.warn(`The locks cannot be freed: ${messageOf(error)}`);
  }
}
