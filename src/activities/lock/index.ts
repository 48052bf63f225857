/** Activities on locks, under the names that follow `lock.` in the contract. */
import type { RunIdentity, Target } from '../../contract/plan.ts';
import { activityProgress } from '../progress.ts';
import type { Locks } from './locks.ts';

export interface LockRequest {
  targets: Target[];
  run: RunIdentity;
}

export function lockActivities(locks: Locks) {
  return {
    /**
     * Takes the locks of a plan's targets.
     * @throws TargetBusy naming the run that holds the first that is not free.
     */
    async takeTargets({ targets, run }: LockRequest): Promise<void> {
      await locks.takeAll(targets, run);
    },

    /** Frees the locks of a plan's targets that this run holds. */
    async releaseTargets({ targets, run }: LockRequest): Promise<void> {
      await Promise.all(targets.map((target) => locks.release(target, run)));
    },

    /** Waits until no other run holds any of the targets, at most `waitMs`. */
    async awaitTargets({ targets, run, waitMs }: LockRequest & { waitMs: number }): Promise<void> {
      const progress = activityProgress();
      const giveUp = AbortSignal.any([progress.cancelled, AbortSignal.timeout(waitMs)]);
      await Promise.all(targets.map((target) => locks.untilFree(target, run, giveUp)));
      progress.cancelled.throwIfAborted();
    },
  };
}
export type LockActivities = ReturnType<typeof lockActivities>;
