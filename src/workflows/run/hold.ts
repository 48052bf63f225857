/**
 * The waits of a run at a step: one that is paused holds until somebody decides, however long that
 * takes; one that is for a time goes on by itself.
 */
import { condition, patched } from '@temporalio/workflow';
import type { Plan } from '../../contract/plan.ts';
import type { PausedStep } from '../../contract/run.ts';
import type { Decisions } from './decisions.ts';
import type { Pause, StepAnswer } from './pauses.ts';
import type { StatusBoard } from './status.ts';
import { tellPeople } from './tell-people.ts';

export interface HoldSettings {
  /** After so many milliseconds without a decision the next contact is told as well. */
  decisionTimeoutMs: number;
  /** How many contacts there are after the first. */
  furtherContacts: number;
}

interface Held {
  plan: Plan;
  decisions: Decisions;
  board: StatusBoard;
  settings: HoldSettings;
  /** Whether there is nothing to decide any more, since the run goes back. */
  isOver: () => boolean;
}

/**
 * Pauses at a step, tells people, and waits for their decision.
 * @returns undefined where there was nothing to decide any more
 */
export async function hold(
  pausedStep: PausedStep,
  { plan, decisions, board, settings, isOver }: Held,
): Promise<StepAnswer | undefined> {
  const pause: Pause = { ...pausedStep };
  decisions.pauses.begin(pause);
  board.pause(pausedStep);
  const isDecided = () => pause.answer !== undefined || isOver();
  try {
    for (let reminder = 0; !isDecided(); reminder++) {
      const { step, error } = pausedStep;
      tellPeople(decisions, { plan, reminder, paused: { step, error } });
      const isLast = reminder >= settings.furtherContacts;
      if (isLast) await condition(isDecided);
      else await condition(isDecided, settings.decisionTimeoutMs);
    }
  } finally {
    decisions.pauses.end(pause);
    board.goOn(pausedStep);
  }
  return pause.answer;
}

/**
 * Waits for a time, in milliseconds, by a durable timer.
 * @returns what somebody decided meanwhile; undefined where the time is over, or there is nothing to
 *   decide any more
 */
export async function waitUnlessDecided(
  waiting: PausedStep,
  { ms, decisions, board, isOver }: { ms: number } & Pick<Held, 'decisions' | 'board' | 'isOver'>,
): Promise<StepAnswer | undefined> {
  const pause: Pause = { ...waiting };
  decisions.pauses.begin(pause);
  board.offer(waiting);
  try {
    const isDecided = () => pause.answer !== undefined || isOver();
    await condition(isDecided, Math.max(1, ms), { summary: waiting.step });
    // What came in time counts, however long a look at it takes, or no worker was there for it.
    if (!isDecided() && decisions.isLooking && patched('waits-hear-who-came-in-time')) {
      await decisions.heard();
    }
  } finally {
    decisions.pauses.end(pause);
    board.withdraw(waiting);
  }
  return pause.answer;
}
