/** Activities on locks, under the names that follow `lock.` in the contract. */
import { isOwner, targetKey, type RunIdentity, type Target } from '../../contract/plan.ts';
import { activityProgress } from '../progress.ts';
import type { Locks } from './locks.ts';

export interface LockRequest {
  targets: Target[];
  run: RunIdentity;
}

export function lockActivities(locks: Locks) {
  return {
    /**
     * Takes the locks of a plan's targets, all at once. Where other runs hold some, it keeps those
     * before the first of these in sorted order, so that two runs never wait for each other.
     * @throws TargetBusy naming the run that holds the first that is not free.
     */
    async takeTargets({ targets, run }: LockRequest): Promise<void> {
      const inOrder = lockable(targets)
        .toSorted((one, other) => (targetKey(one) < targetKey(other) ? -1 : 1));
      const taken = await Promise.allSettled(inOrder.map((target) => locks.take(target, run)));
      const first = taken.findIndex(({ status }) => status === 'rejected');
      if (first === -1) return;
      const after = inOrder.slice(first).filter((_, index) => isTaken(taken[first + index]));
      await Promise.all(after.map((target) => locks.release(target, run)));
      throw (taken[first] as PromiseRejectedResult).reason;
    },

    /** Frees the locks of a plan's targets that this run holds. */
    async releaseTargets({ targets, run }: LockRequest): Promise<void> {
      await Promise.all(lockable(targets).map((target) => locks.release(target, run)));
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

/** Owners are held by several runs at a time. */
function lockable(targets: readonly Target[]): Target[] {
  return targets.filter((target) => !isOwner(target));
}

function isTaken(outcome: PromiseSettledResult<void> | undefined): boolean {
  return outcome?.status === 'fulfilled';
}
