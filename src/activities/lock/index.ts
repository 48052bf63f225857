/** Activities on locks, under the names that follow `lock.` in the contract. */
import type { RunIdentity, Target } from '../../contract/plan.ts';
import { activityProgress } from '../progress.ts';
import { lockable, type Locks } from './locks.ts';

export interface LockRequest {
  targets: Target[];
  run: RunIdentity;
}

export interface ReleaseRequest extends LockRequest {
  /** That the run has decided its outcome, and does nothing any more. */
  ends?: boolean;
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

    /**
     * Looks whether the targets are free for the run, before people are asked about it.
     * @throws TargetBusy naming the run that holds one.
     */
    async assertFree({ targets, run }: LockRequest): Promise<void> {
      await locks.assertFree(targets, run);
    },

    /** Frees the locks of a plan's targets that this run holds; of one that ends, a moment later. */
    async releaseTargets({ targets, run, ends }: ReleaseRequest): Promise<void> {
      if (ends) locks.releaseAtEnd(lockable(targets), run);
      else await Promise.all(lockable(targets).map((target) => locks.release(target, run)));
    },

    /** Waits until no other run holds any of the targets, at most `waitMs`. */
    async awaitTargets({ targets, run, waitMs }: LockRequest & { waitMs: number }): Promise<void> {
      const progress = activityProgress();
      const giveUp = AbortSignal.any([progress.cancelled, AbortSignal.timeout(waitMs)]);
      await Promise.all(lockable(targets).map((target) => locks.untilFree(target, run, giveUp)));
      progress.cancelled.throwIfAborted();
    },
  };
}
export type LockActivities = ReturnType<typeof lockActivities>;
