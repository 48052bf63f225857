import type { DeploymentChange } from '../activities/kubernetes/deployment/deployment-change.ts';
import type { Change } from '../contract/plan.ts';
import { lookByHand, restoreDeployment } from './rollback-deployment.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R8: `kubectl rollout undo` for each of several Deployments and `kubectl rollout status` for all of
 * them: side by side, or turn by turn where the settings say which goes first. Where one fails the
 * others of its turn go on, and the run pauses at the one that failed.
 */
export const rollbackServices = runbook('services', {
  plan: (...request) => kubernetes.planServicesRollback(...request),

  async steps(run) {
    const changes = run.plan.changes.filter(isOfDeployment);
    const turns = [...new Set(changes.map(({ after }) => after.turn ?? 0))].sort((a, b) => a - b);
    for (const turn of turns) {
      await run.together(
        changes
          .filter(({ after }) => (after.turn ?? 0) === turn)
          .map(
            ({ id, target }) =>
              () =>
                restoreDeployment(run, id, ` of ${target.name}`),
          ),
      );
    }
  },

  byHand: lookByHand,
});

/** Those that have a turn of their own; what serves in their stead goes with them. */
function isOfDeployment(change: Change): change is DeploymentChange {
  return change.kind === 'deployment/template' && change.after.copyOf === undefined;
}
