import type { LoadedSettings } from '../../config/settings.ts';
import type { Effect } from '../../contract/plan.ts';
import { counted } from '../../contract/printable.ts';
import { stale } from '../failures.ts';
import { inWords } from '../kubernetes/objects.ts';
import type { Progress } from '../progress.ts';
import {
  type CacheMandate,
  type ClearingChange,
  type FlushChange,
  selectionInWords,
  selectionOf,
} from './cache-change.ts';
import { type OpenCache, withCache } from './connect.ts';
import { countInWords, deleteKeys, readDatabases } from './keys.ts';

/**
 * Clears what the plan names, on every master; which keys those are say the settings. Safe to repeat:
 * whatever is there again by then goes as well. Taking it back is to clear again, since what was
 * cached in between must go too.
 * @throws PlanStale where the settings name other keys by now, and for a flush also where another
 *   server answers than the one that was planned, or other databases have keys.
 */
export async function clearCache(
  loaded: LoadedSettings,
  { change }: CacheMandate,
  progress: Progress,
): Promise<Effect> {
  const { target } = change;
  switch (change.kind) {
    case 'cache/clear':
      return clearKeys(loaded, change, progress);
    case 'cache/flush':
    case 'cache/flush-all':
      return withCache(loaded, target.namespace, (cache) => flush(cache, change));
    default:
      // What was approved as a change of another kind must not clear anything.
      throw stale(`${inWords(target)} was not planned to be cleared. Nothing was cleared.`);
  }
}

async function clearKeys(
  loaded: LoadedSettings,
  change: ClearingChange,
  progress: Progress,
): Promise<Effect> {
  const selection = selectionOf(loaded, change);
  return withCache(loaded, change.target.namespace, async (cache) => {
    const tell = (deleted: number) => progress.report(`${counted(deleted, 'key')} deleted`);
    const deleted = await deleteKeys(cache, selection, tell, progress.cancelled);
    const words = `${selectionInWords(selection)} in cache ${cache.name}`;
    return {
      changed: deleted > 0,
      text:
        deleted > 0
          ? `${countInWords({ count: deleted, isAll: true })} deleted: ${words}.`
          : `Nothing there any more: ${words}.`,
    };
  });
}

async function flush(cache: OpenCache, change: FlushChange): Promise<Effect> {
  const { kind, target, after } = change;
  const { masters, uid, name, database } = cache;
  if (uid !== target.uid) {
    throw stale(
      `${inWords(target)} is another server than the one that was planned, or was restarted since. Nothing was emptied; look at what is in it, and at the new plan.`,
    );
  }
  if (after.database !== undefined && after.database !== database) {
    throw stale(
      `${inWords(target)}: the settings name database ${database}, and ${after.database} was planned. Nothing was emptied; that needs a new plan.`,
    );
  }
  const isAll = kind === 'cache/flush-all';
  if (isAll) await assertDatabases(cache, change);
  await Promise.all(
    masters.map((master) =>
      master.ask((redis) => (isAll ? redis.flushall('ASYNC') : redis.flushdb('ASYNC'))),
    ),
  );
  const which = isAll ? 'Every database' : `Database ${database}`;
  const where = masters.length > 1 ? ` on ${masters.length} masters` : '';
  return { changed: true, text: `${which} of cache ${name} was emptied${where}.` };
}

/** What is emptied for all belongs to those who were shown when it was approved, and to nobody else. */
async function assertDatabases(
  cache: OpenCache,
  { target, after: { databases } }: FlushChange,
): Promise<void> {
  if (databases === undefined) return;
  const planned = databases.split(',').map(Number);
  const found = (await readDatabases(cache)).map(([number]) => number);
  const others = found.filter((number) => !planned.includes(number));
  if (others.length === 0) return;
  throw stale(
    `${inWords(target)} has keys in database ${others.join(', ')} by now, which had none when it was planned. Nothing was emptied; that needs a new plan.`,
  );
}
