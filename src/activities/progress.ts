import { Context } from '@temporalio/activity';

/** How a long activity tells how far it is, and learns that it is to end. */
export interface Progress {
  /** Replaces what was reported before; `done` of `total` where it can be counted. */
  report(text: string, done?: number, total?: number): void;
  cancelled: AbortSignal;
}

/** What an activity's heartbeats carry, as the CLI shows it. */
export interface ProgressDetails {
  /** What is worked on, such as `Deployment api in production`: several activities may be at work at once. */
  about?: string;
  text: string;
  done?: number;
  total?: number;
}

const heartbeatEveryMs = 1000;
const latest = new WeakMap<Context, ProgressDetails>();
const subjects = new WeakMap<Context, string>();

/** Progress of the activity that is running, as details of its heartbeats. */
export function activityProgress(): Progress {
  const context = Context.current();
  return {
    cancelled: context.cancellationSignal,
    report(text, done, total) {
      latest.set(context, { about: subjects.get(context), text, done, total });
      context.heartbeat(latest.get(context));
    },
  };
}

/**
 * Runs `activity` with heartbeats every second, so that a killed worker is missed soon. A local
 * activity has none: its workflow task is missed instead.
 * @param about what it works on, in words
 */
export async function withHeartbeats<T>(
  context: Context,
  about: string | undefined,
  activity: () => Promise<T>,
): Promise<T> {
  if (context.info.isLocal) return activity();
  if (about !== undefined) subjects.set(context, about);
  const timer = setInterval(() => context.heartbeat(latest.get(context)), heartbeatEveryMs);
  try {
    return await activity();
  } finally {
    clearInterval(timer);
  }
}
