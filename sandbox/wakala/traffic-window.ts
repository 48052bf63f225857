import { behaviourOf } from './behaviour.ts';
import type { ReadyPod } from './cluster.ts';

/** What `/metrics` answers. */
export interface Metrics {
  readonly ready_pods: number;
  /** Requests in the window. */
  readonly requests: number;
  /** Share of them that failed, 0 to 1; 1 where no pod is ready. */
  readonly error_rate: number;
  readonly p95_ms: number;
  /** Of the pod that uses most. */
  readonly memory_percent: number;
}

interface Sample {
  readonly at: number;
  readonly ms: number;
  readonly failed: boolean;
}

const windowMs = 30_000;
const windowRequests = 200;

/**
 * The last requests of every pod. Figures are those of the pods that are ready now: like scraped
 * ones, they do not tell of pods that a rollback has taken away.
 */
export class TrafficWindow {
  readonly #samples = new Map<string, Sample[]>();

  /** Counts one request that a pod answered. */
  record(uid: string, ms: number, failed: boolean): void {
    const samples = this.#samples.get(uid) ?? [];
    samples.push({ at: Date.now(), ms, failed });
    if (samples.length > windowRequests) samples.shift();
    this.#samples.set(uid, samples);
  }

  /** Drops the requests of a pod that is gone. */
  forget(uid: string): void {
    this.#samples.delete(uid);
  }

  /** The figures of the given pods over the last 30 s or 200 requests, whichever is less. */
  metrics(pods: readonly ReadyPod[]): Metrics {
    const from = Date.now() - windowMs;
    const samples = pods
      .flatMap(({ uid }) => this.#samples.get(uid) ?? [])
      .filter(({ at }) => at >= from)
      .sort((one, other) => one.at - other.at)
      .slice(-windowRequests);
    const failed = samples.filter((sample) => sample.failed).length;
    const times = samples.map(({ ms }) => ms).sort((one, other) => one - other);
    return {
      ready_pods: pods.length,
      requests: samples.length,
      error_rate: pods.length === 0 ? 1 : round(failed / Math.max(1, samples.length)),
      p95_ms: round(times[Math.ceil(times.length * 0.95) - 1] ?? 0),
      memory_percent: round(Math.max(0, ...pods.map(memoryPercent))),
    };
  }
}

/** A leaking version fills its memory in a minute and a half. */
function memoryPercent({ image, since }: ReadyPod): number {
  if (behaviourOf(image) !== 'leak') return 35;
  return Math.min(99, 35 + (0.7 * (Date.now() - since)) / 1000);
}

function round(figure: number): number {
  return Math.round(figure * 1000) / 1000;
}
