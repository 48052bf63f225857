/**
 * Two runs must never change one target. A target's lock is a lease that Temporal itself keeps: a
 * workflow named after the target on a queue that nobody polls, with its owner in the memo and an
 * execution time-out as the end of the lease. Being there is all it does.
 */
import {
  ApplicationFailure,
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { lastActivityMayLiveMs } from '../../contract/activities.ts';
import { failureTypes } from '../../contract/failures.ts';
import { shellWord } from '../../contract/printable.ts';
import {
  isOwner,
  targetKey,
  targetName,
  type RunIdentity,
  type Target,
} from '../../contract/plan.ts';
import { Freeing } from './freeing.ts';

const lockWorkflowType = 'targetLock';
const lockQueue = 'rollback-locks';
/** A lease this long outlives every run that still acts; every effect takes a lapsed one again. */
const lease = '24 hours';

interface Held {
  owner: RunIdentity;
  /** Run id of the lock workflow, so that what is ended is what was looked at. */
  lockRunId: string;
}

/** A run that is over. */
interface Ended {
  lastActivityEndsBy: Date;
}

/** A lock that was just started. */
interface Started {
  target: Target;
  lockRunId: string;
}

function lockId(target: Target): string {
  return `lock:${targetKey(target)}`;
}

export class Locks {
  private readonly client: Client;
  /** The last lock that was started here for each target: freed without being looked at first. */
  private readonly started = new Map<string, Held>();
  private readonly freeing = new Freeing();

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Makes `owner` hold the locks of all targets, at once. Where other runs hold some, it keeps those
   * before the first of these in sorted order, so that two runs never wait for each other.
   * @throws TargetBusy naming the run that holds the first that is not free.
   */
  async takeAll(targets: readonly Target[], owner: RunIdentity): Promise<void> {
    const inOrder = lockable(targets).toSorted((one, other) =>
      targetKey(one) < targetKey(other) ? -1 : 1,
    );
    await Promise.all(inOrder.map((target) => this.freeing.now(lockId(target))));
    const started = await Promise.all(inOrder.map((target) => this.tryToStart(target, owner)));
    await this.assertOpen(owner, started);
    const held = await Promise.allSettled(
      inOrder.map((target, index) =>
        started[index] ? Promise.resolve() : this.hold(target, owner),
      ),
    );
    const first = held.findIndex(({ status }) => status === 'rejected');
    if (first === -1) return;
    const after = inOrder
      .slice(first)
      .filter((_, index) => held[first + index]?.status === 'fulfilled');
    await Promise.all(after.map((target) => this.release(target, owner)));
    throw (held[first] as PromiseRejectedResult).reason;
  }

  /**
   * Makes `owner` hold the lock of `target`. Passes where it already does; takes over from a run
   * that has ended: at once where it did so by itself, else once its last activity must have stopped.
   * @throws TargetBusy naming the run that holds it.
   * @throws TargetSettling, to be tried again, until the last activity must have stopped.
   * @throws NotMandated where the run has ended, for targets that several runs hold at a time.
   */
  async hold(target: Target, owner: RunIdentity): Promise<void> {
    if (isOwner(target)) {
      if ((await this.ended(owner)) === undefined) return;
      throw hasEnded(owner);
    }
    for (;;) {
      // A reset run has the identity of the one that has ended, and must not pass on its lock.
      await this.freeing.now(lockId(target));
      const held = await this.find(target);
      if (!held) {
        if (await this.start(target, owner)) return;
        continue;
      }
      if (isSame(held.owner, owner)) return;
      const closed = await this.ended(held.owner);
      if (closed === undefined) throw isHeld(target, held.owner);
      const rest = closed.lastActivityEndsBy.getTime() - Date.now();
      if (rest > 0) {
        throw ApplicationFailure.create({
          type: failureTypes.targetSettling,
          message: `${targetName(target)} was held by run ${held.owner.workflowId}, which has ended; its last activity may still act for ${Math.ceil(rest / 1000)} s.`,
          nextRetryDelay: rest,
        });
      }
      await this.end(target, held, `taken over by ${owner.workflowId}`);
    }
  }

  /**
   * Looks whether `owner` could take the locks of all targets, and takes none.
   * @throws TargetBusy naming the run that holds one.
   */
  async assertFree(targets: readonly Target[], owner: RunIdentity): Promise<void> {
    await Promise.all(
      lockable(targets).map(async (target) => {
        const held = await this.find(target);
        if (!held || isSame(held.owner, owner)) return;
        if ((await this.ended(held.owner)) === undefined) throw isHeld(target, held.owner);
      }),
    );
  }

  /** Frees the lock of `target` where `owner` holds it. */
  async release(target: Target, owner: RunIdentity): Promise<void> {
    const known = this.started.get(lockId(target));
    if (known && isSame(known.owner, owner) && (await this.end(target, known, 'released'))) return;
    const held = await this.find(target);
    if (held && isSame(held.owner, owner)) await this.end(target, held, 'released');
  }

  /**
   * Frees the locks of a run that ends now, which does not wait for it: it would be a third of what
   * surrounds the steps, and whoever comes first takes them over.
   */
  releaseAtEnd(targets: readonly Target[], owner: RunIdentity): void {
    for (const target of targets) {
      this.freeing.later(lockId(target), () => this.release(target, owner));
    }
  }

  /** Frees at once the locks that were to be freed in a moment. */
  settle(): Promise<void> {
    return this.freeing.allNow();
  }

  /**
   * Resolves when no other run than `run` holds the lock of `target`: it was freed, or the run that
   * holds it has ended; or when `signal` aborts.
   */
  async untilFree(target: Target, run: RunIdentity, signal: AbortSignal): Promise<void> {
    const held = await this.find(target);
    if (!held || isSame(held.owner, run)) return;
    const { workflow } = this.client;
    const { workflowId, firstRunId } = held.owner;
    const ended = [
      workflow.getHandle(lockId(target), held.lockRunId),
      workflow.getHandle(workflowId, undefined, { firstExecutionRunId: firstRunId }),
    ].map((handle) =>
      handle.result().then(
        () => undefined,
        () => undefined,
      ),
    );
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([...ended, aborted]);
  }

  /** @throws NotMandated where the run has ended: then this is its zombie, which frees what it took. */
  private async start(target: Target, owner: RunIdentity): Promise<boolean> {
    const started = await this.tryToStart(target, owner);
    if (started) await this.assertOpen(owner, [started]);
    return started !== undefined;
  }

  /** Starts the lock of `target`; undefined where there is one. */
  private async tryToStart(target: Target, owner: RunIdentity): Promise<Started | undefined> {
    try {
      const lock = await this.client.workflow.start(lockWorkflowType, {
        workflowId: lockId(target),
        taskQueue: lockQueue,
        workflowExecutionTimeout: lease,
        workflowIdConflictPolicy: 'FAIL',
        memo: { owner },
        staticSummary: `Lock of ${targetName(target)}, held by ${owner.workflowId}`,
        staticDetails: 'Ends as Terminated when it is released: that is no failure.',
      });
      this.started.set(lockId(target), { owner, lockRunId: lock.firstExecutionRunId });
      return { target, lockRunId: lock.firstExecutionRunId };
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
      throw error;
    }
  }

  /** @throws NotMandated where the run has ended; the locks that were just started for it are freed. */
  private async assertOpen(
    owner: RunIdentity,
    started: readonly (Started | undefined)[],
  ): Promise<void> {
    const locks = started.filter((lock) => lock !== undefined);
    if (locks.length === 0 || (await this.ended(owner)) === undefined) return;
    await Promise.all(
      locks.map(({ target, lockRunId }) =>
        this.end(target, { owner, lockRunId }, 'its run has ended'),
      ),
    );
    throw hasEnded(owner);
  }

  private async find(target: Target): Promise<Held | undefined> {
    try {
      const found = await this.client.workflow.getHandle(lockId(target)).describe();
      if (found.status.name !== 'RUNNING') return undefined;
      const { workflowId, firstRunId } = (found.memo?.owner ?? {}) as Partial<RunIdentity>;
      // Anybody may start a workflow of this name; one that names no run is nobody's lock.
      const owner = { workflowId: String(workflowId), firstRunId: String(firstRunId) };
      return { owner, lockRunId: found.runId };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }

  /** Undefined while the run is open. A run that Temporal has forgotten ended long ago. */
  private async ended({ workflowId, firstRunId }: RunIdentity): Promise<Ended | undefined> {
    const longAgo = { lastActivityEndsBy: new Date(0) };
    try {
      const run = await this.client.workflow.getHandle(workflowId).describe();
      const isThatRun = (run.raw.workflowExecutionInfo?.firstRunId || run.runId) === firstRunId;
      if (run.status.name === 'RUNNING' && isThatRun) return undefined;
      // Whoever ends by himself has waited for his activities; but not for those from before a reset.
      const wasReset = run.runId !== firstRunId;
      if (!wasReset && ['COMPLETED', 'FAILED'].includes(run.status.name)) return longAgo;
      // A later run with the same id can only have started after the one that holds the lock ended.
      const at = isThatRun ? (run.closeTime ?? new Date(0)) : run.startTime;
      return { lastActivityEndsBy: new Date(at.getTime() + lastActivityMayLiveMs) };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return longAgo;
      throw error;
    }
  }

  /** Ends the lock that was looked at; false where it had ended already. */
  private async end(target: Target, { lockRunId }: Held, why: string): Promise<boolean> {
    if (this.started.get(lockId(target))?.lockRunId === lockRunId) {
      this.started.delete(lockId(target));
    }
    try {
      await this.client.workflow.getHandle(lockId(target), lockRunId).terminate(why);
      return true;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      return false;
    }
  }
}

/** Targets but for owners, which several runs hold at a time. */
export function lockable(targets: readonly Target[]): Target[] {
  return targets.filter((target) => !isOwner(target));
}

function isHeld(target: Target, owner: RunIdentity): ApplicationFailure {
  const holder = shellWord(owner.workflowId);
  return ApplicationFailure.nonRetryable(
    `${targetName(target)} is held by run ${holder}: follow it with rollback watch ${holder}, or start again with --wait 10m.`,
    failureTypes.targetBusy,
    owner,
  );
}

function hasEnded({ workflowId }: RunIdentity): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Run ${workflowId} has ended, and changes nothing any more.`,
    failureTypes.notMandated,
  );
}

function isSame(one: RunIdentity, other: RunIdentity): boolean {
  return one.workflowId === other.workflowId && one.firstRunId === other.firstRunId;
}
