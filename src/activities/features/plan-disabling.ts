import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import type { InputOf } from '../../contract/input.ts';
import type { DraftPlan, Plan } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { type DisablingChange, isOff, off, stateInWords } from './flag-change.ts';
import { planCache } from './plan-cache.ts';
import { FlagSystem, isReadOff, type ReadFlag } from './system.ts';

/**
 * Plans R14: the flag's state now, what turns it off, and what is cleared so that everybody sees it. A
 * flag that is off already and only read from a cache has that cleared. Reads only; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planDisabling(
  _: Clusters,
  loaded: LoadedSettings,
  { feature, system: named, keepCache }: InputOf<'feature'>,
): Promise<Plan> {
  const system = new FlagSystem(loaded, named);
  const { found, seen } = await readFlag(system, feature);
  const draft = { procedure: 'feature', checks: [] };
  const isOffAtSource = isOff(found.state);
  const words = `Feature ${feature} in ${system.name}`;
  if (isOffAtSource && isReadOff(seen)) {
    const summary = `${words} is already off, and read as off: nothing to do.`;
    return digestPlan({ ...draft, ...nothing, summary });
  }
  const cache = await planCache(loaded, system.name, feature, keepCache);
  if (isOffAtSource && !cache.change) {
    throw refused(
      `${words} is already off, but read as ${readInWords(seen)} from a cache that this run does not clear: wait for its entries to expire, or ${keepCache ? 'leave --keep-cache out' : `name it as features.${system.name}.cache in the settings`}.`,
    );
  }
  const target = system.target(feature);
  const change: DisablingChange = {
    ...{ id: 'flag', kind: 'feature/disable', target, before: found.state, after: off },
  };
  const changes = [...(isOffAtSource ? [] : [change]), ...(cache.change ? [cache.change] : [])];
  const cleared = cache.change ? `cache ${cache.change.target.namespace} is cleared of it` : '';
  const summary = isOffAtSource
    ? `${words} is already off, but still read as ${readInWords(seen)}: ${cleared}.`
    : `${words} goes from ${stateInWords(found.state)} to off${cleared && `, and ${cleared}`}.`;
  return digestPlan({
    ...draft,
    summary,
    changes,
    targets: changes.map((one) => one.target),
    differences: [
      ...(isOffAtSource ? [] : [`${feature}: ${stateInWords(found.state)} -> off`]),
      ...cache.differences,
    ],
    warnings: [...cache.warnings, ...readingWarnings(system)],
    estimateSeconds: changes.length + 1,
  });
}

/**
 * A flag where it is kept, and as everybody reads it.
 * @throws Refused where there is none of that name.
 */
export async function readFlag(
  system: FlagSystem,
  feature: string,
): Promise<{ found: ReadFlag; seen: ReadFlag | undefined }> {
  const [found, seen] = await Promise.all([system.read(feature), system.readPublic(feature)]);
  if (found) return { found, seen };
  throw refused(
    `There is no feature ${feature} in ${system.name}: look at its spelling${system.settings.source ? '' : ', and at the public address in the settings'}.`,
  );
}

/** What a plan says that cannot look at where flags are kept. */
export function readingWarnings({ name, settings }: FlagSystem): string[] {
  if (settings.source) return [];
  return [
    `Flags of ${name} can be read at their public address only, which may lag behind: the settings have no features.${name}.source.`,
  ];
}

const nothing: Pick<
  DraftPlan,
  'changes' | 'targets' | 'differences' | 'warnings' | 'estimateSeconds'
> = { changes: [], targets: [], differences: [], warnings: [], estimateSeconds: 0 };

function readInWords(seen: ReadFlag | undefined): string {
  return stateInWords(seen?.state ?? off);
}
