import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import type { InputOf } from '../../contract/input.ts';
import type { DraftPlan, Plan } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';
import { refused } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { type CacheChange, cacheTarget, clearingOf, selectionInWords } from './cache-change.ts';
import { cacheSettings, type OpenCache, withCache } from './connect.ts';
import { countInWords, countKeys, readDatabases, samplePrefixes } from './keys.ts';

/** How long keys are counted for a plan. */
const countingMs = 3000;
const shownPrefixes = 8;

/** What a plan says about a clearing. */
type Draft = Pick<DraftPlan, 'changes' | 'summary' | 'differences' | 'warnings'>;

/**
 * Plans to clear a cache: the keys with the prefixes of the settings, or with `flush` a database, or with
 * `flushAll` all of them. Reads only; needs no Temporal.
 * @param limitMs how long keys are counted
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planClearing(
  _: Clusters,
  loaded: LoadedSettings,
  input: InputOf<'cache'>,
  limitMs = countingMs,
): Promise<Plan> {
  const { caches } = loaded.settings;
  const name = input.cache ?? onlyOne(Object.keys(caches));
  const { prefixes } = cacheSettings(caches, name);
  const isFlush = input.flush || input.flushAll;
  if (!isFlush && prefixes.length === 0) {
    throw refused(
      `The settings do not say what of cache ${name} is only cached: name prefixes as caches.${name}.prefixes, or ask for --flush, which empties its whole database, sessions and queues included.`,
    );
  }
  return withCache(loaded, name, async (cache) => {
    const draft = isFlush
      ? await draftFlush(cache, input.flushAll)
      : await draftClearing(cache, prefixes, limitMs);
    return digestPlan({
      ...draft,
      procedure: 'cache',
      targets: draft.changes.map(({ target }) => target),
      checks: [],
      estimateSeconds: draft.changes.length,
    });
  });
}

function onlyOne(names: string[]): string {
  const [first] = names;
  if (first !== undefined && names.length === 1) return first;
  throw refused(
    first === undefined
      ? 'The settings have no cache: add one under caches.'
      : `The settings have several caches: name one of ${names.join(', ')}.`,
  );
}

async function draftClearing(
  cache: OpenCache,
  prefixes: string[],
  limitMs: number,
): Promise<Draft> {
  const selection = { keys: [], prefixes };
  const { count, isAll } = await countKeys(cache, selection, limitMs);
  const words = selectionInWords(selection);
  const what = `cache ${cache.name} (${words})`;
  if (count === 0 && isAll) return nothing(`There is nothing in ${what}: nothing to do.`);
  return {
    changes: [clearingOf(cacheTarget(cache), selection)],
    summary: `${countInWords({ count, isAll })} of ${what} ${count === 1 ? 'is' : 'are'} deleted${onMasters(cache)}; all others stay.`,
    differences: [`${words}: ${countInWords({ count, isAll })} -> none`],
    warnings: [],
  };
}

async function draftFlush(cache: OpenCache, isAll: boolean): Promise<Draft> {
  const databases = await readDatabases(cache);
  const emptied = isAll ? databases : databases.filter(([number]) => number === cache.database);
  const what = `cache ${cache.name}`;
  const which = isAll ? 'every database' : `database ${cache.database}`;
  const total = emptied.reduce((sum, [, keys]) => sum + keys, 0);
  if (total === 0) return nothing(`There is nothing in ${which} of ${what}: nothing to do.`);
  const kind = isAll ? 'cache/flush-all' : 'cache/flush';
  const change: CacheChange = {
    ...{ id: 'cache', kind, target: cacheTarget(cache), before: { cleared: false } },
    after: {
      cleared: true,
      ...(isAll
        ? { databases: emptied.map(([number]) => number).join(',') }
        : { database: cache.database }),
    },
  };
  const sample = (await samplePrefixes(cache, countingMs)).slice(0, shownPrefixes);
  const words = sample.map(([word, count]) => `${printable(word.slice(0, 60))} ${count}`);
  const others = emptied.filter(([number]) => number !== cache.database);
  return {
    changes: [change],
    summary: `${isAll ? 'FLUSHALL' : 'FLUSHDB'} empties ${which} of ${what}: ${countInWords({ count: total, isAll: true })}${onMasters(cache)}.`,
    differences: emptied.map(([number, keys]) => {
      const sampled = number === cache.database && words.length > 0 ? `: ${words.join(', ')}` : '';
      return `database ${number}: ${countInWords({ count: keys, isAll: true })} -> none${sampled}`;
    }),
    warnings: [
      'Sessions, queues and locks that are kept there go as well; nothing brings them back.',
      ...others.map(
        ([number]) =>
          `Database ${number} is not the one of the settings: whoever it belongs to loses it.`,
      ),
    ],
  };
}

function nothing(summary: string): Draft {
  return { changes: [], summary, differences: [], warnings: [] };
}

function onMasters({ isCluster, masters }: OpenCache): string {
  return isCluster ? ` on ${masters.length} masters` : '';
}
