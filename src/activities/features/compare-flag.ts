import type { LoadedSettings } from '../../config/settings.ts';
import type { Comparison } from '../kubernetes/deployment/compare-revisions.ts';
import { type FlagMandate, isSame, stateInWords } from './flag-change.ts';
import { FlagSystem } from './system.ts';

/**
 * Whether a flag stands as it stood before the plan, so that there is nothing to take back. That it was
 * better when more people had the feature is nothing that can be measured: putting it on again is for
 * a person to decide.
 */
export async function compareFlag(
  loaded: LoadedSettings,
  { change: { target, before } }: FlagMandate,
): Promise<Comparison> {
  const found = await FlagSystem.of(loaded, target).read(target.name);
  if (found && isSame(found.state, before)) {
    const text = `nothing to take back: the feature is ${stateInWords(before)}, as before`;
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const now = found ? stateInWords(found.state) : 'gone';
  const text = `the feature is ${now}; only a signed abort puts it back to ${stateInWords(before)}`;
  return { beforeIsHealthier: false, nothingToUndo: false, text };
}
