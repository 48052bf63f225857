import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { LoadedSettings } from '../../config/settings.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Effect, Mandate } from '../../contract/plan.ts';
import type { Progress } from '../progress.ts';
import type { ClearingChange } from '../redis/cache-change.ts';
import { type FlagMandate, type FlagState, stateInWords } from './flag-change.ts';
import { HttpError, HttpUnreachable } from './http.ts';
import { isReached, stateAfter } from './set-flag.ts';
import { FlagSystem } from './system.ts';

/** What came of reading a flag back. */
export interface ReadBack extends Effect {
  /** Readers that had read the flag before the change have put it into the cache again since. */
  isCachedAgain?: true;
}

/**
 * Reads a flag as everybody does, through whatever caches there are, until all requests of two rounds
 * see the change: that a system took a change is no proof that anybody sees it, and a reader that
 * had read the flag before it may put it into a cache after it was cleared.
 * @param mandate of the flag's change, or where the flag is off already, of the clearing of its cache
 * @param percentage share in percent, for a reduction
 * @param mayClear whether the caller clears the cache again, where some still see the old state soon
 * @throws CheckFailed with what was read where that does not come within the limit of the settings.
 */
export async function awaitFlag(
  loaded: LoadedSettings,
  mandate: FlagMandate | Mandate<ClearingChange>,
  percentage: number | undefined,
  mayClear: boolean,
  progress: Progress,
): Promise<ReadBack> {
  const about = isOfFlag(mandate)
    ? seenChange(loaded, mandate, percentage)
    : seenOff(loaded, mandate.change);
  return readUntil({ ...about, ...about.system.settings.readBack, mayClear }, progress);
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
  return {
    system: new FlagSystem(loaded, system),
    feature,
    isSeen: (state: FlagState) => !state.enabled,
  };
}

interface Reading {
  system: FlagSystem;
  feature: string;
  requests: number;
  /** Milliseconds. */
  every: number;
  limit: number;
  isSeen: (state: FlagState) => boolean;
  mayClear: boolean;
}

/** Rounds after which what some still see is what a cache has again. */
const roundsBeforeClearing = 2;

async function readUntil(
  { system, feature, requests, every, limit, isSeen, mayClear }: Reading,
  progress: Progress,
): Promise<ReadBack> {
  const { cancelled } = progress;
  const what = `Feature ${feature} in ${system.name}`;
  const unseen = progress.standstill('unseen');
  // Where it is read where it is kept, nothing stands between.
  const wantedRounds = system.settings.public ? 2 : 1;
  let goodRounds = 0;
  for (let round = 1; ; round++) {
    const read = await Promise.all(
      Array.from({ length: requests }, () => readOnce(system, feature, cancelled)),
    );
    const wrong = read.filter((one) => typeof one === 'string' || !isSeen(one));
    const words = [
      ...new Set(wrong.map((one) => (typeof one === 'string' ? one : stateInWords(one)))),
    ];
    if (wrong.length === 0) {
      if (++goodRounds < wantedRounds) {
        await delay(every, undefined, { signal: cancelled });
        continue;
      }
      const seen = [...new Set(read.map((one) => stateInWords(one as FlagState)))].join(', ');
      return { changed: false, text: `${what} is read as ${seen} by ${requests} requests.` };
    }
    goodRounds = 0;
    const text = `${what}: ${wrong.length} of ${requests} requests do not see the change (${words.join(', ')})`;
    if (mayClear && round >= roundsBeforeClearing && wrong.some((one) => typeof one !== 'string')) {
      return { changed: false, isCachedAgain: true, text };
    }
    if (unseen.ms() + every > limit) {
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
    return (await system.readPublic(feature, signal))?.state ?? 'answers 404';
  } catch (error) {
    // What a proxy says for a while, or without the right to read, is no word on the flag.
    const isForbidden = error instanceof HttpError && [401, 403].includes(error.status);
    const isNoWord = error instanceof HttpUnreachable || error instanceof HttpError;
    if (isNoWord && !isForbidden) return error.message;
    throw error;
  }
}
