import type { DeploymentChange } from '../activities/kubernetes/deployment/deployment-change.ts';
import type { Plan } from '../contract/plan.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { Run } from './run/steps.ts';

/**
 * R3: `kubectl rollout undo deployment/NAME [--to-revision=N]` and `kubectl rollout status`, with
 * the revision resolved once, all pods brought up at once where there is room, and the Deployment
 * handed back as its owners expect it.
 */
export const rollbackDeployment = runbook('deployment', {
  plan: (...request) => kubernetes.planDeploymentRollback(...request),
  steps: (run) => restoreDeployment(run, 'deployment'),
  byHand: lookByHand,
});

/** The steps for one Deployment, `of` which the titles speak where there are several. */
export async function restoreDeployment(run: Run, id: string, of = ''): Promise<void> {
  const change = run.change<DeploymentChange>(id);
  run.ifCutShort(`Hand the Deployment back${of}`, () =>
    kubernetes.handBackDeployment(change.inverse),
  );
  await run.step(`Restore the pod template${of}`, {
    do: () => kubernetes.restoreTemplate(change),
    undo: async () => {
      await kubernetes.restoreTemplate(change.inverse);
      return kubernetes.driveRollout(change.inverse);
    },
    undoOnlyIf: () => kubernetes.compareRevisions(change),
  });
  await run.step(`Wait for every replica${of}`, {
    do: () => kubernetes.driveRollout(change),
  });
}

/** Commands that show what stands there. */
export function lookByHand({ targets }: Plan): string[] {
  return targets.flatMap(({ context, namespace, name }) => [
    `See what stands there: rollback history deployment/${name} -n ${namespace} --context ${context}`,
    `See its pods: rollback pods ${name} -n ${namespace} --context ${context}`,
  ]);
}
