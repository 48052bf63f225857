import type { temporal } from '@temporalio/proto';

export type Event = temporal.api.history.v1.IHistoryEvent;

/** One figure of the benchmark. */
export interface Row {
  what: string;
  /** Median of the rounds. */
  figure: number;
  unit: 'ms' | 'x' | 'KB';
  /** The figure is met where it is at most this. */
  asked: number;
  /** What the figure was made from, in words. */
  details: string;
}

/** Middle value; of an even number of values, the higher of the two in the middle. */
export function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Milliseconds that `action` takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return performance.now() - began;
}

/** Milliseconds since 1970 at which the server wrote an event. */
export function timeOf(event: Event | undefined): number {
  const { seconds, nanos } = event?.eventTime ?? {};
  return Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6;
}
