import type { Progress } from '../progress.ts';
import type { Standstill } from '../standstill.ts';
import type { Obstacle } from './deployment/obstacles.ts';

/** An obstacle counts once it has stood this long without any new pod getting available. */
const obstacleMustLastMs = 5000;
/** A controller that has not looked at a change for so long does not run, or cannot keep up. */
const seenWithinMs = 60_000;
/** How often a controller that backs off is woken. */
const wakeEveryMs = 2000;

/**
 * An undo goes back to a version that may never get ready, as it was not when it was left: it waits so
 * long for one more pod, and what was done before it is undone all the same.
 */
export const undoneWithoutProgressMs = 30_000;

/** How long it is since one more pod got ready. */
export class LastProgress {
  private readonly standstill: Standstill;
  constructor(progress: Progress) {
    this.standstill = progress.standstill('ready');
  }
  msWithout(ready: number): number {
    if (ready > this.standstill.level) this.standstill.restart();
    this.standstill.level = ready;
    return this.standstill.ms();
  }
}

/** Tells a controller that does not look at a change from one that will in a moment. */
export class Unseen {
  private readonly standstill: Standstill;
  constructor(progress: Progress) {
    this.standstill = progress.standstill('unseen');
  }
  /** The obstacle that a controller is which has not seen the last change for too long. */
  obstacle(isObserved: boolean): Obstacle | undefined {
    if (isObserved) this.standstill.restart();
    if (this.standstill.ms() < seenWithinMs) return undefined;
    return {
      kind: 'deadline',
      text: `its controller has not seen the change within ${seenWithinMs / 1000} s: look whether the controller manager runs`,
    };
  }
}

/**
 * Tells an obstacle that lasts from one that the rollout passes. Each attempt looks for itself: it is a
 * short look.
 */
export class Patience {
  private since: number | undefined;
  private available = 0;
  private woken = 0;

  see(obstacle: Obstacle | undefined, available: number): void {
    const progressed = available > this.available;
    this.available = available;
    if (!obstacle) this.since = undefined;
    else if (this.since === undefined || progressed) this.since = Date.now();
  }
  isSpent({ kind }: Obstacle): boolean {
    if (kind === 'deadline' || kind === 'paused') return true;
    return this.since !== undefined && Date.now() - this.since >= obstacleMustLastMs;
  }
  mayWake(): boolean {
    if (Date.now() - this.woken < wakeEveryMs) return false;
    this.woken = Date.now();
    return true;
  }
  restart(): void {
    this.since = undefined;
  }
}
