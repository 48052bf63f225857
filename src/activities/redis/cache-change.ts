/** What is cleared of a cache, as plans have it. */
import type { LoadedSettings } from '../../config/settings.ts';
import { hashOf } from '../../contract/digest.ts';
import type { Change, Mandate, Reference, Target } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import { inWords } from '../kubernetes/objects.ts';
import type { OpenCache } from './connect.ts';
import type { Selection } from './keys.ts';

type Uncleared = Readonly<{ cleared: false }>;

/** Keys by their names and prefixes, as JSON lists; of one flag where it is named. */
export interface ClearingChange extends Change<
  Uncleared,
  Readonly<{ cleared: true; keys: string; prefixes: string; system?: string; feature?: string }>
> {
  kind: 'cache/clear';
}

/** FLUSHDB of one database, or FLUSHALL, on every master. */
export interface FlushChange extends Change<
  Uncleared,
  Readonly<{
    cleared: true;
    database?: number;
    /** Numbers of those that had keys, with commas; plans of earlier versions do not say. */
    databases?: string;
  }>
> {
  kind: 'cache/flush' | 'cache/flush-all';
}

export type CacheChange = ClearingChange | FlushChange;
export type CacheMandate = Mandate<CacheChange>;

/** @param of what of it is meant, so that two runs may clear different parts at the same time */
export function cacheTarget({ name, address, uid }: OpenCache, of?: string): Target {
  const part = of === undefined ? name : `${name}/${of}`;
  return { kind: 'cache', context: address, namespace: name, name: part, uid };
}

/** The change that clears these keys. */
export function clearingOf(
  target: Target,
  { keys, prefixes }: Selection,
  flag: { system?: string; feature?: string } = {},
): ClearingChange {
  const lists = { keys: JSON.stringify(keys), prefixes: JSON.stringify(prefixes) };
  const after: ClearingChange['after'] & Reference = { cleared: true, ...lists, ...flag };
  return { id: 'cache', kind: 'cache/clear', target, before: { cleared: false }, after };
}

/** What the settings say is cache for this flag; undefined where they name no cache for it. */
export function selectionForFlag(
  { features }: LoadedSettings['settings'],
  system: string,
  feature: string,
): (Selection & { cache: string }) | undefined {
  const found = Object.hasOwn(features, system) ? features[system]?.cache : undefined;
  if (!found) return undefined;
  const named = (text: string) => text.replaceAll('{name}', feature);
  const { name: cache, keys, prefixes } = found;
  return { cache, keys: keys.map(named), prefixes: prefixes.map(named) };
}

/**
 * The keys that a change clears: as the settings have them, which must be as they were when it was
 * planned.
 * @throws PlanStale
 */
export function selectionOf(
  { settings }: LoadedSettings,
  { target, after }: ClearingChange,
): Selection {
  const { system, feature } = after;
  const found =
    system === undefined || feature === undefined
      ? { keys: [], prefixes: settings.caches[target.namespace]?.prefixes ?? [] }
      : selectionForFlag(settings, system, feature);
  const { keys = [], prefixes = [] } = found ?? {};
  const now = { keys: JSON.stringify(keys), prefixes: JSON.stringify(prefixes) };
  if (hashOf(now) === hashOf({ keys: after.keys, prefixes: after.prefixes })) {
    return { keys, prefixes };
  }
  throw stale(
    `${inWords(target)}: the settings name other keys than those that were planned. Nothing was cleared; that needs a new plan.`,
  );
}

/** Names and prefixes for people: `feature:new_message_flow, session:*`. */
export function selectionInWords({ keys, prefixes }: Selection): string {
  return [...keys, ...prefixes.map((prefix) => `${prefix}*`)].join(', ');
}
