import { Context } from '@temporalio/activity';
import { heartbeatTimeoutMs } from '../contract/activities.ts';
import { Standstill, type WatchedStandstill } from './standstill.ts';

/** How a long activity tells how far it is, and learns that it is to end. */
export interface Progress {
  /** Replaces what was reported before; `done` of `total` where it can be counted. */
  report(text: string, done?: number, total?: number): void;
  cancelled: AbortSignal;
  /** How long `what` has not got on by now, over all attempts of the activity; one for each `what`. */
  standstill(what: string): Standstill;
}

/** What an activity tells of how far it is, as the CLI shows it. */
export interface ProgressDetails {
  /** What is worked on, such as `Deployment api in production`: several activities may be at work at once. */
  about?: string;
  text: string;
  done?: number;
  total?: number;
}

/** What an activity's heartbeats carry, for people and for its next attempt. */
export interface HeartbeatDetails extends ProgressDetails {
  standstills?: Record<string, WatchedStandstill>;
}

const heartbeatEveryMs = 1000;
const latest = new WeakMap<Context, ProgressDetails>();
const standstills = new WeakMap<Context, Record<string, Standstill>>();
const subjects = new WeakMap<Context, string>();
/** When an activity has told that it lives, in milliseconds since 1970, and whether it once did so too late. */
const beats = new WeakMap<Context, { last: number; wasLate: boolean }>();

/** Progress of the activity that is running, as details of its heartbeats. */
export function activityProgress(): Progress {
  const context = Context.current();
  return {
    cancelled: context.cancellationSignal,
    report(text, done, total) {
      latest.set(context, { about: subjects.get(context), text, done, total });
      heartbeat(context);
    },
    standstill(what) {
      const standstill = new Standstill(toldBefore(context)?.standstills?.[what]);
      standstills.set(context, { ...standstills.get(context), [what]: standstill });
      return standstill;
    },
  };
}

/** What the attempt before has told last. */
function toldBefore({ info }: Context): HeartbeatDetails | undefined {
  return (info.heartbeatDetails as HeartbeatDetails | null | undefined) ?? undefined;
}

/** Tells the last report: the one of the attempt before until there is another. */
function heartbeat(context: Context): void {
  const before = toldBefore(context);
  const details = latest.get(context) ?? before;
  const own = Object.entries(standstills.get(context) ?? {});
  const watched = {
    ...before?.standstills,
    ...Object.fromEntries(own.map(([what, standstill]) => [what, standstill.watched()])),
  };
  const isWatching = Object.keys(watched).length > 0;
  context.heartbeat(details && { ...details, ...(isWatching && { standstills: watched }) });
}

/**
 * Whether this process stood still for so long that the activity is taken for dead: another attempt may
 * have done its work by now, and somebody else's may have come after that.
 */
export function isTakenForDead(context: Context): boolean {
  const beat = beats.get(context);
  return beat !== undefined && (beat.wasLate || Date.now() - beat.last >= heartbeatTimeoutMs);
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
  const beat = { last: Date.now(), wasLate: false };
  beats.set(context, beat);
  const timer = setInterval(() => {
    beat.wasLate = isTakenForDead(context);
    beat.last = Date.now();
    heartbeat(context);
  }, heartbeatEveryMs);
  try {
    return await activity();
  } finally {
    clearInterval(timer);
  }
}
