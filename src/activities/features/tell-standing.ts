import type { LoadedSettings } from '../../config/settings.ts';
import { type FlagChange, isForNobody, off, stateInWords } from './flag-change.ts';
import { FlagSystem } from './system.ts';

/**
 * Where a flag stands at the end of a run, whoever has put it there: `still on at 25 %`, or undefined
 * where nobody has it. A run that is done does not fail because that cannot be read.
 */
export async function tellStanding(
  loaded: LoadedSettings,
  { target }: FlagChange,
): Promise<string | undefined> {
  try {
    const { state } = (await FlagSystem.of(loaded, target).read(target.name)) ?? { state: off };
    return isForNobody(state) ? undefined : `still ${stateInWords(state)}`;
  } catch (error) {
    return `perhaps still on, which cannot be read (${(error as Error).message})`;
  }
}
