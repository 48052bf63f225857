/** An attempt looks for itself so long before the time that earlier ones have watched counts. */
const looksFirstMs = 5000;

/** What of it the heartbeats carry from one attempt of an activity to the next. */
export interface WatchedStandstill {
  /** Milliseconds. */
  ms: number;
  level: number;
}

/**
 * How long something has not got on, as far as workers have watched it. The time of earlier attempts
 * counts, or a step would wait for ever whose worker is restarted again and again. Time in which there
 * was no worker does not: much may have happened in it, and what comes back looks for itself first.
 */
export class Standstill {
  /** How far it is, such as the number of pods that are ready. */
  level: number;
  private readonly begun = performance.now();
  private since = this.begun;
  private before: number;

  /** @param before what earlier attempts have watched */
  constructor(before?: WatchedStandstill) {
    this.before = before?.ms ?? 0;
    this.level = before?.level ?? -1;
  }

  /** Milliseconds. */
  ms(): number {
    const now = performance.now();
    return now - this.since + (now - this.begun < looksFirstMs ? 0 : this.before);
  }

  /** It has got on. */
  restart(): void {
    this.since = performance.now();
    this.before = 0;
  }

  watched(): WatchedStandstill {
    return { ms: Math.round(performance.now() - this.since + this.before), level: this.level };
  }
}
