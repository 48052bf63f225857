import type { Progress } from '../../src/activities/progress.ts';
import { Standstill } from '../../src/activities/standstill.ts';

/** Progress of an activity that nobody looks at, and nobody cancels. */
export function silentProgress(): Progress {
  return {
    report: () => undefined,
    cancelled: new AbortController().signal,
    standstill: () => new Standstill(),
  };
}
