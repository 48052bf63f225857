import type { Obstacle } from '../kubernetes/deployment/obstacles.ts';

/** An obstacle counts once it has stood this long without any pod getting available. */
const obstacleMustLastMs = 5000;

/** Tells an obstacle that lasts from one that the rollout passes. */
export class Patience {
  private since: number | undefined;
  private available = 0;

  /** @param obstacle what is in the way now, if anything */
  isSpent(obstacle: Obstacle | undefined, available: number): boolean {
    if (!obstacle) {
      this.since = undefined;
      return false;
    }
    // Somebody may make room; the time-out ends that wait.
    if (obstacle.kind === 'capacity') return false;
    if (obstacle.kind === 'deadline' || obstacle.kind === 'paused') return true;
    if (this.since === undefined || available > this.available) this.since = Date.now();
    this.available = available;
    return Date.now() - this.since >= obstacleMustLastMs;
  }
}
