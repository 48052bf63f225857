/** One figure of the benchmark. */
export interface Row {
  what: string;
  /** Median of the rounds. */
  figure: number;
  unit: 'ms' | 'x';
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
