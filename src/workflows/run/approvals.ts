/** The wait for the people whose approval a plan needs. */
import { condition } from '@temporalio/workflow';
import { durationMs } from '../../contract/duration.ts';
import type { CommonInput } from '../../contract/input.ts';
import type { Planned } from '../../contract/plan.ts';
import type { Decisions } from './decisions.ts';
import type { StatusBoard } from './status.ts';
import { tellPeople } from './tell-people.ts';

/** How the wait ended. Only `granted` lets the run go on. */
export type Approval =
  | { outcome: 'granted' }
  | { outcome: 'rejected'; text: string }
  | { outcome: 'expired'; text: string }
  /** The plan must be made anew. */
  | { outcome: 'void'; text: string };

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
    await decisions.settle('The wait for approvals is over.');
  }
  if (decisions.rejection !== undefined) return { outcome: 'rejected', text: decisions.rejection };
  if (decisions.void !== undefined) return { outcome: 'void', text: decisions.void };
  const { granted, missing, breakGlass } = decisions.assessment ?? planned.assessment;
  if (!granted) {
    return { outcome: 'expired', text: `Nobody gave what was missing in time: ${missing}.` };
  }
  await decisions.settle('The plan is approved already, and is being carried out.');
  if (!planned.assessment.granted) board.enter('planning', 'Approved. Taking the locks.');
  if (breakGlass) tellPeople(decisions, { plan: planned.plan, reminder: 0 });
  return { outcome: 'granted' };
}

async function wait(
  planned: Planned<CommonInput>,
  decisions: Decisions,
  board: StatusBoard,
): Promise<void> {
  const began = Date.now();
  const { approvalTimeoutMs, remindAfterMs } = planned.wait;
  const { approvalTimeout } = planned.input;
  const timeout = approvalTimeout === undefined ? approvalTimeoutMs : durationMs(approvalTimeout);
  const isSettled = () =>
    decisions.rejection !== undefined ||
    decisions.void !== undefined ||
    decisions.assessment?.granted === true;
  board.await(new Date(began + timeout), () => `Waiting for ${decisions.assessment?.missing}.`);
  const due = [0, ...remindAfterMs.filter((afterMs) => afterMs < timeout), timeout];
  for (const [reminder, next] of due.slice(1).entries()) {
    tellPeople(decisions, { plan: planned.plan, reminder });
    const summary =
      next === timeout ? 'approval, or the end of the wait' : 'approval, or a reminder';
    if (await condition(isSettled, Math.max(1, began + next - Date.now()), { summary })) return;
  }
}
