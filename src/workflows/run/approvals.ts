/** The wait for the people whose approval a plan needs. */
import { condition } from '@temporalio/workflow';
import { durationMs } from '../../contract/duration.ts';
import type { CommonInput } from '../../contract/input.ts';
import type { Planned } from '../../contract/plan.ts';
import type { Decisions } from './decisions.ts';
import { isOutcome } from './outcome.ts';
import { people } from './proxies.ts';
import type { StatusBoard } from './status.ts';

/** How the wait ended. Only `granted` lets the run go on. */
export type Approval =
  | { outcome: 'granted' }
  | { outcome: 'rejected'; text: string }
  | { outcome: 'expired'; text: string };

/**
 * Waits until everybody whose approval the plan needs has given it, somebody rejects it, or the
 * time is over. Tells those who are missing, and after a while their next contacts as well.
 */
export async function awaitApprovals(
  planned: Planned<CommonInput>,
  decisions: Decisions,
  board: StatusBoard,
): Promise<Approval> {
  decisions.open(planned);
  if (!planned.assessment.granted) {
    await wait(planned, decisions, board);
    await decisions.finish('The wait for approvals is over.');
  }
  if (decisions.rejection !== undefined) return { outcome: 'rejected', text: decisions.rejection };
  const { granted, missing, needs, breakGlass } = decisions.assessment ?? planned.assessment;
  if (!granted) {
    return { outcome: 'expired', text: `Nobody gave what was missing in time: ${missing}.` };
  }
  decisions.close('The plan is approved already, and is being carried out.');
  if (breakGlass) {
    const stood = needs.filter((need) => need.breakGlass);
    const text = stood.map(({ by, roles }) => `${by.join(' and ')} stood in for ${roles.join()}`);
    tell(board, {
      roles: stood.flatMap(({ roles }) => roles),
      text: `Break-glass: ${text.join('; ')}.`,
    });
  }
  return { outcome: 'granted' };
}

async function wait(
  { input, plan, wait: settings }: Planned<CommonInput>,
  decisions: Decisions,
  board: StatusBoard,
): Promise<void> {
  const began = Date.now();
  const { approvalTimeout } = input;
  const timeout =
    approvalTimeout === undefined ? settings.approvalTimeoutMs : durationMs(approvalTimeout);
  const isSettled = () =>
    decisions.rejection !== undefined || decisions.assessment?.granted === true;
  board.await(new Date(began + timeout), () => `Waiting for ${decisions.assessment?.missing}.`);
  const reminders = settings.reminders.filter(({ afterMs }) => afterMs < timeout);
  for (const [index, { roles }] of reminders.entries()) {
    const minutes = Math.round((Date.now() - began) / 60_000);
    tell(board, {
      roles,
      text: `${index === 0 ? '' : `Still waiting after ${minutes} min. `}${plan.summary} Missing: ${decisions.assessment?.missing}. Look and decide with: rollback approve ${board.status.workflowId}`,
    });
    const next = reminders[index + 1]?.afterMs ?? timeout;
    if (await settledWithin(isSettled, began + next, index)) return;
  }
}

function settledWithin(isSettled: () => boolean, until: number, index: number): Promise<boolean> {
  const summary = index === 0 ? 'approval, or a reminder' : 'approval, or the next contact';
  return condition(isSettled, Math.max(1, until - Date.now()), { summary });
}

/** Tells people without holding the run up; that nobody could be told must not fail it. */
function tell(board: StatusBoard, notice: { roles: string[]; text: string }): void {
  const { workflowId } = board.status;
  people.tell({ workflowId, urgent: true, ...notice }).catch((error: unknown) => {
    if (!isOutcome(error)) throw error;
  });
}
