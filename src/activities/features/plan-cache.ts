/** The part of a flag's plan that is about the cache it is read through. */
import type { LoadedSettings } from '../../config/settings.ts';
import {
  cacheTarget,
  type ClearingChange,
  clearingOf,
  selectionForFlag,
  selectionInWords,
} from '../redis/cache-change.ts';
import { withCache } from '../redis/connect.ts';
import { CacheUnreachable } from '../redis/errors.ts';
import { countInWords, countKeys } from '../redis/keys.ts';

const countingMs = 3000;

export interface PlannedClearing {
  change?: ClearingChange;
  /** `feature:x: 1 key -> none`. */
  differences: string[];
  warnings: string[];
}

/**
 * Plans to clear what is cached of a flag.
 * @throws {CacheUnreachable} with how to go on without it.
 */
export async function planCache(
  loaded: LoadedSettings,
  system: string,
  feature: string,
  keepCache: boolean,
): Promise<PlannedClearing> {
  const selection = selectionForFlag(loaded.settings, system, feature);
  if (!selection) {
    const text = `The settings name no cache for ${system}: if there is one, readers see the change when its entries have expired.`;
    return { differences: [], warnings: [text] };
  }
  const { cache: name } = selection;
  if (keepCache) {
    const text = `Cache ${name} is not cleared: readers see the change when its entries have expired.`;
    return { differences: [], warnings: [text] };
  }
  try {
    return await withCache(loaded, name, async (cache) => {
      const count = await countKeys(cache, selection, countingMs);
      const change = clearingOf(cacheTarget(cache, feature), selection, { system, feature });
      const words = `cache ${name}, ${selectionInWords(selection)}`;
      return {
        change,
        differences: [`${words}: ${countInWords(count)} -> none`],
        warnings: [],
      };
    });
  } catch (error) {
    if (!(error instanceof CacheUnreachable)) throw error;
    throw new CacheUnreachable(
      `${error.message}; --keep-cache changes feature ${feature} without clearing it`,
    );
  }
}
