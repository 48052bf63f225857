import type { LoadedSettings } from '../../config/settings.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import { assertMayUndo } from '../kubernetes/may-undo.ts';
import { inWords } from '../kubernetes/objects.ts';
import { compareFlag } from './compare-flag.ts';
import {
  allowedShares,
  type FlagChange,
  type FlagMandate,
  type FlagState,
  isAtMost,
  isSame,
  off,
  stateInWords,
} from './flag-change.ts';
import { HttpUnreachable } from './http.ts';
import { FlagSystem } from './system.ts';

/** Shares in percent of one step of a reduction. */
export interface ReductionStep {
  percentage?: number;
  /** What the run has set last, or the share before the plan; workflows of earlier versions do not say. */
  from?: number;
}

export interface Attempt {
  /** Whether an earlier attempt of this very step may have done it already. */
  isRetried: boolean;
  signal: AbortSignal;
  isTakenForDead: () => boolean;
}

export interface FlagEffect extends Effect {
  /** Whether somebody else has taken the flag to the end of a reduction already, or beyond. */
  isOver?: boolean;
}

/**
 * Turns a flag off, reduces its share, or takes either back. The share must be one of the plan's; one
 * that is lower already stays, so that none is ever raised but by taking it back.
 * @throws PlanStale where the flag is neither as before nor as after the change, and where nobody has
 *   signed that it goes on again.
 * @throws {HttpUnreachable} where the worker stood still for so long that another attempt may be at work by now.
 */
export async function setFlag(
  loaded: LoadedSettings,
  mandate: FlagMandate,
  { percentage, from }: ReductionStep,
  { isRetried, signal, isTakenForDead }: Attempt,
): Promise<FlagEffect> {
  const { change, undo } = mandate;
  await assertMayUndo(mandate, () => compareFlag(loaded, mandate));
  const { target, before } = change;
  const system = FlagSystem.of(loaded, target);
  const wanted = undo ? before : stateAfter(change, percentage);
  const what = `${inWords(target)} in ${system.name}`;
  const found = await system.read(target.name, signal);
  if (!found) throw stale(`${what} is not there any more: find out who has deleted it.`);
  const { state } = found;
  if (isReached(change, undo, state, wanted)) {
    if (!undo && isOver(change, state, wanted)) {
      const text = `${what} is ${stateInWords(state)} already, which somebody else has seen to: the reduction ends here.`;
      return { changed: isRetried, text, isOver: true };
    }
    return { changed: isRetried, text: `${what} is ${stateInWords(state)}.` };
  }
  if (!isExpected(change, undo, state, from)) {
    throw stale(
      `${what} was changed after the plan was made: it is ${stateInWords(state)}. Look at it, and start again if it still needs a rollback.`,
    );
  }
  // Who is taken for dead by now would undo what came after. Off is off, however late it comes.
  if (wanted.enabled && isTakenForDead()) {
    throw new HttpUnreachable(`${what}: the worker stood still for too long to change it safely`);
  }
  await system.change(target.name, wanted, requestFor(change, state, wanted), found, signal);
  return { changed: true, text: `${what} goes from ${stateInWords(state)} to ${inShort(wanted)}.` };
}

/** What a mandate without undo makes of the flag. */
export function stateAfter(change: FlagChange, percentage: number | undefined): FlagState {
  if (change.kind === 'feature/disable') return off;
  if (percentage !== undefined && allowedShares(change).includes(percentage)) {
    return { enabled: true, percentage };
  }
  throw notPlanned(change, percentage);
}

function notPlanned({ target }: FlagChange, share: number | undefined) {
  return stale(
    `${inWords(target)}: the plan has no share of ${String(share)} %. Nothing was changed.`,
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
  if (kind === 'feature/disable') return !state.enabled;
  return isAtMost(state, wanted.percentage ?? 0);
}

/** Whether a reduction that is to go on after this share has nothing left to do. */
function isOver(change: FlagChange, state: FlagState, wanted: FlagState): boolean {
  if (change.kind !== 'feature/reduce') return false;
  const last = change.after.percentage;
  return last < (wanted.percentage ?? 0) && isAtMost(state, last);
}

/** Whether the flag is as this run has found or left it; a share may also be lower than that. */
function isExpected(
  change: FlagChange,
  undo: boolean,
  state: FlagState,
  from: number | undefined,
): boolean {
  const { before } = change;
  if (change.kind === 'feature/disable') return undo ? !state.enabled : isSame(state, before);
  const steps = allowedShares(change);
  if (undo || from === undefined) {
    const isStep = steps.some((percentage) => isSame(state, { enabled: true, percentage }));
    return isStep || (!undo && isSame(state, before));
  }
  if (from === before.percentage) return isSame(state, before);
  if (!steps.includes(from)) throw notPlanned(change, from);
  return state.enabled && isAtMost(state, from);
}

function requestFor(change: FlagChange, state: FlagState, wanted: FlagState) {
  if (!wanted.enabled) return 'off';
  return change.kind === 'feature/reduce' && state.enabled ? 'percentage' : 'on';
}

function inShort(state: FlagState): string {
  return state.enabled && state.percentage === 0 ? '0 %' : stateInWords(state);
}
