import type { OwnerChange } from '../activities/owners/policy.ts';
import { lookAtReminder } from './run/owners.ts';
import { owners } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * The end of what a rollback began: what kept GitOps or progressive delivery from bringing the bad
 * version back is undone, once its source has a good one.
 */
export const releaseOwner = runbook('release', {
  plan: (...request) => owners.planRelease(...request),

  async steps(run) {
    for (const { id, target } of run.plan.changes) {
      const change = run.change<OwnerChange>(id);
      await run.step(`Release ${target.kind} ${target.namespace}/${target.name}`, {
        do: () => owners.release(change),
        undo: () => owners.release(change.inverse),
      });
      await lookAtReminder(target);
    }
  },

  byHand: () => ['See what is held: rollback holds'],
});
