import type { LoadedSettings } from '../../config/settings.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import { assertMayUndo } from '../kubernetes/may-undo.ts';
import { inWords } from '../kubernetes/objects.ts';
import { compareFlag } from './compare-flag.ts';
import {
  type FlagChange,
  type FlagMandate,
  type FlagState,
  isOff,
  isSame,
  off,
  percentagesOf,
  stateInWords,
} from './flag-change.ts';
import { FlagSystem } from './system.ts';

/**
 * Turns a flag off, reduces its share, or takes either back. The share must be one of the plan's; one
 * that is lower already stays, so that none is ever raised but by taking it back.
 * @param percentage share in percent, for a reduction
 * @param isRetried whether an earlier attempt of this very step may have done it already
 * @throws PlanStale where the flag is neither as before nor as after the change, and where nobody has
 *   signed that it goes on again.
 */
export async function setFlag(
  loaded: LoadedSettings,
  mandate: FlagMandate,
  percentage: number | undefined,
  isRetried: boolean,
): Promise<Effect> {
  const { change, undo } = mandate;
  await assertMayUndo(mandate, () => compareFlag(loaded, mandate));
  const { target, before } = change;
  const system = FlagSystem.of(loaded, target);
  const wanted = undo ? before : stateAfter(change, percentage);
  const what = `${inWords(target)} in ${system.name}`;
  const found = await system.read(target.name);
  if (!found) throw stale(`${what} is not there any more: find out who has deleted it.`);
  const { state } = found;
  if (isReached(change, undo, state, wanted)) {
    return { changed: isRetried, text: `${what} is ${stateInWords(state)}.` };
  }
  if (!isExpected(change, undo, state)) {
    throw stale(
      `${what} was changed after the plan was made: it is ${stateInWords(state)}. Look at it, and start again if it still needs a rollback.`,
    );
  }
  await system.change(target.name, wanted, requestFor(change, state, wanted), found);
  return { changed: true, text: `${what} goes from ${stateInWords(state)} to ${inShort(wanted)}.` };
}

/** What a mandate without undo makes of the flag. */
export function stateAfter(change: FlagChange, percentage: number | undefined): FlagState {
  if (change.kind === 'feature/disable') return off;
  if (percentage !== undefined && percentagesOf(change).includes(percentage)) {
    return { enabled: true, percentage };
  }
  throw stale(
    `${inWords(change.target)}: the plan has no share of ${String(percentage)} %. Nothing was changed.`,
  );
}

/** Whether the flag is where it is wanted; for a reduction, that is also any lower share. */
export function isReached(
  { kind }: FlagChange,
  undo: boolean,
  state: FlagState,
  wanted: FlagState,
): boolean {
  if (undo) return isSame(state, wanted);
  if (kind === 'feature/disable') return isOff(state);
  return isOff(state) || state.percentage <= wanted.percentage;
}

/** Whether the flag is as this run has found or left it. */
function isExpected(change: FlagChange, undo: boolean, state: FlagState): boolean {
  if (change.kind === 'feature/disable') return undo ? isOff(state) : isSame(state, change.before);
  const isStep = state.enabled && percentagesOf(change).includes(state.percentage);
  return isStep || (!undo && isSame(state, change.before));
}

function requestFor(change: FlagChange, state: FlagState, wanted: FlagState) {
  if (!wanted.enabled) return 'off';
  return change.kind === 'feature/reduce' && state.enabled ? 'percentage' : 'on';
}

function inShort(state: FlagState): string {
  return state.enabled && state.percentage === 0 ? '0 %' : stateInWords(state);
}
