import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { LoadedSettings } from '../../config/settings.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Effect, Mandate } from '../../contract/plan.ts';
import type { Progress } from '../progress.ts';
import type { ClearingChange } from '../redis/cache-change.ts';
import { type FlagMandate, type FlagState, isOff, off, stateInWords } from './flag-change.ts';
import { HttpUnreachable } from './http.ts';
import { isReached, stateAfter } from './set-flag.ts';
import { FlagSystem } from './system.ts';

/**
 * Reads a flag as everybody does, through whatever caches there are, until all requests of one round
 * see the change: that a system took a change is no proof that anybody sees it.
 * @param mandate of the flag's change, or where the flag is off already, of the clearing of its cache
 * @param percentage share in percent, for a reduction
 * @throws CheckFailed with what was read where that does not come within the limit of the settings.
 */
export async function awaitFlag(
  loaded: LoadedSettings,
  mandate: FlagMandate | Mandate<ClearingChange>,
  percentage: number | undefined,
  progress: Progress,
): Promise<Effect> {
  const about = isOfFlag(mandate)
    ? seenChange(loaded, mandate, percentage)
    : seenOff(loaded, mandate.change);
  return readUntil({ ...about, ...about.system.settings.readBack }, progress);
}

function isOfFlag(mandate: FlagMandate | Mandate<ClearingChange>): mandate is FlagMandate {
  return mandate.change.kind !== 'cache/clear';
}

function seenChange(
  loaded: LoadedSettings,
  { change, undo }: FlagMandate,
  percentage: number | undefined,
) {
  const { target, before } = change;
  const wanted = undo ? before : stateAfter(change, percentage);
  return {
    system: FlagSystem.of(loaded, target),
    feature: target.name,
    isSeen: (state: FlagState) => isReached(change, undo, state, wanted),
  };
}

/** Of a flag that was off before, only what is cached of it is cleared. */
function seenOff(loaded: LoadedSettings, { after: { system, feature = '' } }: ClearingChange) {
  return { system: new FlagSystem(loaded, system), feature, isSeen: isOff };
}

interface Reading {
  system: FlagSystem;
  feature: string;
  requests: number;
  /** Milliseconds. */
  every: number;
  limit: number;
  isSeen: (state: FlagState) => boolean;
}

async function readUntil(
  { system, feature, requests, every, limit, isSeen }: Reading,
  progress: Progress,
): Promise<Effect> {
  const { cancelled } = progress;
  const what = `Feature ${feature} in ${system.name}`;
  const giveUp = Date.now() + limit;
  for (let round = 1; ; round++) {
    const read = await Promise.all(
      Array.from({ length: requests }, () => readOnce(system, feature, cancelled)),
    );
    const wrong = read.filter((one) => typeof one === 'string' || !isSeen(one));
    const words = [
      ...new Set(wrong.map((one) => (typeof one === 'string' ? one : stateInWords(one)))),
    ];
    if (wrong.length === 0) {
      const seen = [...new Set(read.map((one) => stateInWords(one as FlagState)))].join(', ');
      return { changed: false, text: `${what} is read as ${seen} by ${requests} requests.` };
    }
    const text = `${what}: ${wrong.length} of ${requests} requests do not see the change (${words.join(', ')})`;
    if (Date.now() + every > giveUp) {
      throw ApplicationFailure.nonRetryable(
        `${text}, ${round} rounds within ${limit / 1000} s. Find out which cache still has it: features.${system.name}.cache in the settings names what is cleared.`,
        failureTypes.checkFailed,
      );
    }
    progress.report(`${text}; reading again`);
    await delay(every, undefined, { signal: cancelled });
  }
}

/** The state as it is read now, or why it cannot be read. */
async function readOnce(
  system: FlagSystem,
  feature: string,
  signal: AbortSignal,
): Promise<FlagState | string> {
  try {
    return (await system.readPublic(feature, signal))?.state ?? off;
  } catch (error) {
    if (error instanceof HttpUnreachable) return error.message;
    throw error;
  }
}
