import type { Progress } from '../../src/activities/progress.ts';

/** Progress of an activity that nobody looks at, and nobody cancels. */
export function silentProgress(): Progress {
  return { report: () => undefined, cancelled: new AbortController().signal };
}
