import type { Progress } from '../progress.ts';
import { Events } from './events.ts';

/** Keeps what is followed equal to the API server until `signal` aborts; `changed` after every difference. */
export type Following = (changed: () => void, signal: AbortSignal) => Promise<void>;

/**
 * Looks after every difference of what is followed, and once a second at least, until `look` answers
 * something; ends with an error where `look` throws, the activity is cancelled or the API server
 * forbids it.
 */
export async function followUntil<T>(
  progress: Progress,
  followings: readonly Following[],
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, progress.cancelled]);
  const events = new Events();
  const watches = Promise.all(followings.map((following) => following(events.notify, signal)));
  try {
    for (;;) {
      await Promise.race([events.next(1000), watches]);
      progress.cancelled.throwIfAborted();
      const found = await look();
      if (found !== undefined) return found;
    }
  } finally {
    stop.abort();
    await watches.catch(() => undefined);
  }
}
