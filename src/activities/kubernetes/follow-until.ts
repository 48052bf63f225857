import type { Progress } from '../progress.ts';
import type { Cluster } from './api.ts';
import { Events } from './events.ts';
import { follow, type Named } from './follow.ts';

/** Keeps what is followed equal to the API server until `signal` aborts; `changed` after every difference. */
type Following = (cluster: Cluster, changed: () => void, signal: AbortSignal) => Promise<void>;

/** Follows a list of the API server into `items`, by name. */
export function into<T extends Named>(
  items: Map<string, T>,
  path: string,
  query: Record<string, string> = {},
): Following {
  return (cluster, changed, signal) => follow(cluster, { path, query }, items, changed, signal);
}

/** Follows one object of a list into `items`, by its name. */
export function intoOne<T extends Named>(
  items: Map<string, T>,
  path: string,
  name: string,
): Following {
  return (cluster, changed, signal) => follow(cluster, { path, name }, items, changed, signal);
}

/**
 * Looks once all lists are there, since what is not there before is not known to be gone; then after
 * every difference of them, and once a second at least, until `look` answers something. Ends with an
 * error where `look` throws, the activity is cancelled or the API server forbids it.
 */
export async function followUntil<T>(
  progress: Progress,
  cluster: Cluster,
  followings: readonly Following[],
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, progress.cancelled]);
  const events = new Events();
  const unlisted = new Set(followings);
  const watches = Promise.all(
    followings.map((following) => {
      const changed = () => {
        unlisted.delete(following);
        events.notify();
      };
      return following(cluster, changed, signal);
    }),
  );
  try {
    for (;;) {
      await Promise.race([events.next(1000), watches]);
      progress.cancelled.throwIfAborted();
      const found = unlisted.size > 0 ? undefined : await look();
      if (found !== undefined) return found;
    }
  } finally {
    stop.abort();
    await watches.catch(() => undefined);
  }
}
