/** The run that holds a busy target, where it does what was asked for. */
import type { Change, Plan } from '../contract/plan.ts';
import { targetKey } from '../contract/plan.ts';
import type { RunResult, RunStatus } from '../contract/run.ts';
import { answerWithinMs, type Temporal } from './temporal.ts';

/**
 * Workflow id of the run that was faster than this one and goes to the same end; undefined where the
 * target is busy with something else, or where nobody can tell.
 */
export async function sameRunOf(
  { client }: Temporal,
  { heldBy, plan, procedure }: RunResult,
): Promise<string | undefined> {
  if (heldBy === undefined || plan === undefined) return undefined;
  const status = await client
    .withDeadline(Date.now() + answerWithinMs, () =>
      client.workflow.getHandle(heldBy).query<RunStatus>('status'),
    )
    .catch(() => undefined);
  const isSame = status?.procedure === procedure && endOf(status.plan) === endOf(plan);
  return isSame ? heldBy : undefined;
}

/** Where a plan leads, whatever it starts from and by which way it goes. */
function endOf(plan: Plan | undefined): string {
  return JSON.stringify((plan?.changes ?? []).map(identityOf).sort());
}

/** A change's target and the identities that it goes to; numbers may have moved on since. */
function identityOf({ target, kind, after }: Change): string {
  const identities = Object.entries(after).filter(([, value]) => typeof value === 'string');
  return JSON.stringify([targetKey(target), kind, identities.sort()]);
}
