/**
 * A step whose system does not answer is tried for as long as that lasts, and goes on by itself. Whoever
 * is on call hears of it after a while, since they may not be looking at the run.
 */
import type { Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Authority } from '../authority/authority.ts';
import { shellWord } from '../contract/printable.ts';
import { log } from './log.ts';

interface Failing {
  sinceMs: number;
  lastMs: number;
  /** How long it must have failed to be told next. */
  tellAfterMs: number;
}

/** What failed so long ago has worked since, or is somebody else's. */
const forgottenAfterMs = 300_000;

export class LongRetries {
  private readonly authority: Pick<Authority, 'tellContact' | 'settings'>;
  private readonly failing = new Map<string, Failing>();

  constructor(authority: Pick<Authority, 'tellContact' | 'settings'>) {
    this.authority = authority;
  }

  /** Notes that an activity has come to an end of which nobody need be told. */
  ended(info: Info): void {
    this.failing.delete(keyOf(info));
  }

  /** Notes that an attempt has failed, and tells people where that goes on for long, each time twice as long. */
  async failed(info: Info, failure: Error): Promise<void> {
    const isFinal = !(failure instanceof ApplicationFailure) || failure.nonRetryable;
    if (isFinal || info.isLocal || !info.workflowExecution) return this.ended(info);
    try {
      await this.note(info, info.workflowExecution.workflowId, failure.message);
    } catch (error) {
      // It is the failure that counts, and it is tried again.
      log.warn({ error }, 'nobody could be told of a step that is tried again and again');
    }
  }

  private async note(info: Info, workflowId: string, message: string): Promise<void> {
    const now = Date.now();
    for (const [key, { lastMs }] of this.failing) {
      if (now - lastMs > forgottenAfterMs) this.failing.delete(key);
    }
    const key = keyOf(info);
    const failing = this.failing.get(key) ?? {
      ...{ sinceMs: now, lastMs: now, tellAfterMs: this.authority.settings.retriesToldAfter },
    };
    this.failing.set(key, failing);
    failing.lastMs = now;
    if (now - failing.sinceMs < failing.tellAfterMs) return;
    failing.tellAfterMs *= 2;
    const id = shellWord(workflowId);
    const since = new Date(failing.sinceMs).toISOString();
    await this.authority.tellContact(
      workflowId,
      `Run ${id} has tried a step again and again since ${since} (${message}) and goes on when that is mended: see rollback status ${id}, or end it with rollback abort ${id}, unless it goes back already.`,
      true,
    );
  }
}

function keyOf({ workflowExecution, activityId }: Info): string {
  return `${workflowExecution?.runId}/${activityId}`;
}
