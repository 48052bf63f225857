/** Activities on locks, under the names that follow `lock.` in the contract. */
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import { targetKey, targetName, type RunIdentity, type Target } from '../../contract/plan.ts';
import { activityProgress, type Progress } from '../progress.ts';
import type { Locks } from './locks.ts';

export interface LockRequest {
  targets: Target[];
  run: RunIdentity;
  /** Milliseconds to wait for targets that other runs hold; 0 gives up at once. */
  waitMs: number;
}

/** Sorted, so that two runs with the same targets never wait for each other. */
function inOrder(targets: Target[]): Target[] {
  return targets.toSorted((one, other) => (targetKey(one) < targetKey(other) ? -1 : 1));
}

export function lockActivities(locks: Locks) {
  return {
    /**
     * Takes the locks of a plan's targets.
     * @throws TargetBusy where another run holds one of them longer than `waitMs`.
     */
    async takeTargets({ targets, run, waitMs }: LockRequest): Promise<void> {
      const progress = activityProgress();
      const giveUp = AbortSignal.any([
        progress.cancelled,
        waitMs > 0 ? AbortSignal.timeout(waitMs) : AbortSignal.abort(),
      ]);
      for (const target of inOrder(targets)) {
        while (!(await isTaken(locks, target, run, giveUp, progress)));
      }
    },

    /** Frees the locks of a plan's targets that this run holds. */
    async releaseTargets({ targets, run }: Omit<LockRequest, 'waitMs'>): Promise<void> {
      await Promise.all(targets.map((target) => locks.release(target, run)));
    },
  };
}
export type LockActivities = ReturnType<typeof lockActivities>;

async function isTaken(
  locks: Locks,
  target: Target,
  run: RunIdentity,
  giveUp: AbortSignal,
  progress: Progress,
): Promise<boolean> {
  try {
    await locks.hold(target, run);
    return true;
  } catch (error) {
    const busy = error instanceof ApplicationFailure && error.type === failureTypes.targetBusy;
    if (!busy || giveUp.aborted) throw error;
    progress.report(`waiting for ${targetName(target)}: ${error.message}`);
    await locks.untilFree(target, giveUp);
    progress.cancelled.throwIfAborted();
    return false;
  }
}
