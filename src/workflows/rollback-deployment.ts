import type { DeploymentChange } from '../activities/kubernetes/deployment/deployment-change.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R3: `kubectl rollout undo deployment/NAME [--to-revision=N]` and `kubectl rollout status`, with
 * the revision resolved once, all pods brought up at once where there is room, and the Deployment
 * handed back as its owners expect it.
 */
export const rollbackDeployment = runbook('deployment', {
  plan: (...request) => kubernetes.planDeploymentRollback(...request),

  async steps(run) {
    const change = run.change<DeploymentChange>('deployment');
    run.ifCutShort('Hand the Deployment back', () => kubernetes.handBackDeployment(change.inverse));

    await run.step('Restore the pod template', {
      do: () => kubernetes.restoreTemplate(change),
      undo: async () => {
        await kubernetes.restoreTemplate(change.inverse);
        return kubernetes.driveRollout(change.inverse);
      },
      undoOnlyIf: () => kubernetes.compareRevisions(change),
    });
    await run.step('Wait for every replica', {
      do: () => kubernetes.driveRollout(change),
    });
  },

  byHand: ({ targets }) =>
    targets.flatMap(({ context, namespace, name }) => [
      `See what stands there: rollback history deployment/${name} -n ${namespace} --context ${context}`,
      `See its pods: rollback pods ${name} -n ${namespace} --context ${context}`,
    ]),
});
