/** Locks of runs that end: freed a moment later, or as soon as somebody wants them. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * The server writes one thing after the other, and the end of the run, which people wait for, is to come
 * before what its locks need.
 */
const laterMs = 250;

interface Pending {
  freed: Promise<unknown>;
  /** Ends the wait. */
  hurry: () => void;
}

export class Freeing {
  /** By the id of the lock. */
  private readonly pending = new Map<string, Pending>();

  /** Frees a lock in a moment by calling `free`. */
  later(id: string, free: () => Promise<void>): void {
    const wait = new AbortController();
    const freed = delay(laterMs, undefined, { signal: wait.signal })
      .catch(() => undefined)
      .then(free)
      // It is taken over once its run has ended.
      .catch(() => undefined)
      .finally(() => this.pending.delete(id));
    this.pending.set(id, { freed, hurry: () => wait.abort() });
  }

  /** Frees a lock at once that was to be freed; resolves when that is done. */
  async now(id: string): Promise<void> {
    const pending = this.pending.get(id);
    pending?.hurry();
    await pending?.freed;
  }

  /** Frees at once all that were to be freed; resolves when that is done. */
  async allNow(): Promise<void> {
    await Promise.all([...this.pending.keys()].map((id) => this.now(id)));
  }
}
