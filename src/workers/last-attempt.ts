/**
 * An activity that is tried until a limit ends in the words of its last attempt: the server, whose time
 * is up in the middle of another, says nothing but that.
 */
import type { Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';

/**
 * Whether there is no time left for another attempt that is as long as this one. Times of the server are
 * compared with its own only, since clocks differ.
 * @param tookMs how long this attempt was
 */
export function isLastAttempt(info: Info, tookMs: number): boolean {
  const { scheduleToCloseTimeoutMs, retryPolicy, attempt } = info;
  if (info.isLocal || !scheduleToCloseTimeoutMs || !retryPolicy) return false;
  const { initialInterval = 0, backoffCoefficient = 1, maximumInterval = Infinity } = retryPolicy;
  // The worker has both as numbers of milliseconds.
  const pauseMs = Math.min(
    Number(initialInterval) * backoffCoefficient ** (attempt - 1),
    Number(maximumInterval),
  );
  const beforeMs = info.currentAttemptScheduledTimestampMs - info.scheduledTimestampMs;
  return beforeMs + tookMs + pauseMs + tookMs > scheduleToCloseTimeoutMs;
}

/** The same failure as one that no other attempt follows. */
export function asLast(failure: Error): Error {
  if (!(failure instanceof ApplicationFailure) || failure.nonRetryable) return failure;
  const { message, type, details } = failure;
  return ApplicationFailure.nonRetryable(message, type, ...(details ?? []));
}
