import type { Mandate } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Comparison } from './deployment/compare-revisions.ts';
import { inWords } from './objects.ts';

/**
 * Lets a change be taken back only where somebody has signed an abort, which the guard has checked, or
 * where it is measured here that this is better. What the workflow found out does not count: whoever
 * may write to Temporal can make a worker of their own say it.
 * @throws PlanStale
 */
export async function assertMayUndo(
  { undo, authority, change }: Mandate,
  compare: () => Promise<Comparison>,
): Promise<void> {
  if (!undo || authority.abort !== undefined) return;
  const { beforeIsHealthier, nothingToUndo, text } = await compare();
  if (beforeIsHealthier || nothingToUndo) return;
  throw stale(
    `${inWords(change.target)} stays as it is: nobody has signed that it goes back, and what was left is not better (${text}).`,
  );
}
