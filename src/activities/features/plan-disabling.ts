import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import type { InputOf } from '../../contract/input.ts';
import type { DraftPlan, Plan } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import { SecretMissing } from '../secret.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { type DisablingChange, off, stateInWords } from './flag-change.ts';
import { HttpError, HttpUnreachable } from './http.ts';
import { planCache } from './plan-cache.ts';
import { FlagSystem, type ReadFlag } from './system.ts';

/**
 * Plans R14: the flag's state now, what turns it off, and what is cleared so that everybody sees it. A
 * flag that is off already and only read from a cache has that cleared. That it cannot be read as
 * everybody does keeps no bad feature on. Reads only; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planDisabling(
  _: Clusters,
  loaded: LoadedSettings,
  { feature, system: named, keepCache }: InputOf<'feature'>,
): Promise<Plan> {
  const system = new FlagSystem(loaded, named);
  const found = await readFlag(system, feature);
  const seen = await readAsEverybody(system, feature, found);
  const draft = { procedure: 'feature', checks: [] };
  const isOffAtSource = !found.state.enabled;
  const words = `Feature ${feature} in ${system.name}`;
  if (isOffAtSource && seen.isOff) {
    const summary = `${words} is already off, and read as off: nothing to do.`;
    return digestPlan({ ...draft, ...nothing, summary });
  }
  const cache = await planCache(loaded, system.name, feature, keepCache);
  if (isOffAtSource && !cache.change) {
    if (seen.problem !== undefined) {
      const summary = `${words} is already off where it is kept, and no cache of it is cleared: nothing to do.`;
      return digestPlan({ ...draft, ...nothing, summary, warnings: [seen.problem] });
    }
    throw refused(
      `${words} is already off, but read as ${seen.words} from a cache that this run does not clear: wait for its entries to expire, or ${keepCache ? 'leave --keep-cache out' : `name it as features.${system.name}.cache in the settings`}.`,
    );
  }
  const target = system.target(feature);
  const change: DisablingChange = {
    ...{ id: 'flag', kind: 'feature/disable', target, before: found.state, after: off },
  };
  const changes = [...(isOffAtSource ? [] : [change]), ...(cache.change ? [cache.change] : [])];
  const cleared = cache.change ? `cache ${cache.change.target.namespace} is cleared of it` : '';
  const summary = isOffAtSource
    ? `${words} is already off, but ${seen.problem === undefined ? `still read as ${seen.words}` : 'perhaps not read as off'}: ${cleared}.`
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
    warnings: [
      ...(seen.problem === undefined ? [] : [seen.problem]),
      ...cache.warnings,
      ...readingWarnings(system),
      ...(await overrideWarnings(system, feature, found)),
    ],
    estimateSeconds: changes.length + 1,
  });
}

/**
 * A flag where it is kept.
 * @throws Refused where there is none of that name.
 */
export async function readFlag(system: FlagSystem, feature: string): Promise<ReadFlag> {
  const found = await system.read(feature);
  if (found) return found;
  throw refused(
    `There is no feature ${feature} in ${system.name}: look at its spelling${system.settings.source ? '' : ', and at the public address in the settings'}.`,
  );
}

/** What a plan says of how a flag is read and what else has it on. */
export function readingWarnings({ name, settings }: FlagSystem): string[] {
  if (!settings.source) {
    return [
      `Flags of ${name} can be read at their public address only, which may lag behind: the settings have no features.${name}.source.`,
    ];
  }
  if (settings.public) return [];
  return [
    `The change is read back where it is made, which does not prove that applications see it: the settings have no features.${name}.public.`,
  ];
}

/** Exceptions that stay on though the flag is off; not knowing them keeps no bad feature on. */
export async function overrideWarnings(
  system: FlagSystem,
  feature: string,
  found: ReadFlag,
): Promise<string[]> {
  try {
    const words = await system.readOverrides(feature, found);
    return words === undefined ? [] : [words];
  } catch (error) {
    const { message } = asUnread(error);
    return [`Whether overrides keep feature ${feature} on for some cannot be told (${message}).`];
  }
}

interface Seen {
  isOff: boolean;
  words: string;
  /** Why that is not known. */
  problem?: string;
}

/** A flag as everybody reads it. */
async function readAsEverybody(
  system: FlagSystem,
  feature: string,
  found: ReadFlag,
): Promise<Seen> {
  const { source, public: readers } = system.settings;
  if (!source || !readers) return seenAs(found);
  try {
    const seen = await system.readPublic(feature);
    if (seen) return seenAs(seen);
    const problem = `The public address of ${system.name} answers 404 for feature ${feature}, which does not say off: mend the address, or where it leaves out flags that are off, set features.${system.name}.public.missing to off.`;
    return { isOff: false, words: '', problem };
  } catch (error) {
    const problem = `How everybody reads feature ${feature} cannot be told (${asUnread(error).message}): it may not be possible to read the change back.`;
    return { isOff: false, words: '', problem };
  }
}

function seenAs({ state }: ReadFlag): Seen {
  return { isOff: !state.enabled, words: stateInWords(state) };
}

/** An error of reading; throws any other. */
function asUnread(error: unknown): Error {
  if (error instanceof HttpUnreachable) return error;
  if (error instanceof HttpError || error instanceof SecretMissing) return error;
  throw error;
}

const nothing: Pick<
  DraftPlan,
  'changes' | 'targets' | 'differences' | 'warnings' | 'estimateSeconds'
> = { changes: [], targets: [], differences: [], warnings: [], estimateSeconds: 0 };
