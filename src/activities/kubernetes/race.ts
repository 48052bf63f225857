/** Changes that meet those of others, behind a `test` of what was read. */
import { KubernetesError } from './api.ts';

/** An object that changes all the time is somebody else's work in progress. */
const attempts = 10;

/** Whether an object has changed since it was read, so that a guarded change of it was refused. */
export function isRace(error: unknown): boolean {
  return error instanceof KubernetesError && [409, 422].includes(error.status);
}

/** Reads and patches again where the object changed in between. */
export async function repeatOnRace<T>(attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isRace(error) || count === attempts) throw error;
    }
  }
}
