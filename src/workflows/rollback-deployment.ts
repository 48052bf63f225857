import type { RolloutChange } from '../activities/argo-rollouts/rollout-change.ts';
import type { DeploymentChange } from '../activities/kubernetes/deployment/deployment-change.ts';
import type { Change, Plan } from '../contract/plan.ts';
import { argoRollouts, kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/run.ts';

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

/**
 * The steps for one Deployment, `of` which the titles speak where there are several. Where Flagger's
 * copy of it serves production, that goes first.
 */
export async function restoreDeployment(run: Run, id: string, of = ''): Promise<void> {
  const copy = find<DeploymentChange>(run, `${id}:primary`);
  if (copy) await restoreOne(run, copy, ` of ${copy.change.target.name}`);
  await restoreOne(run, run.change<DeploymentChange>(id), of, find(run, `${id}:rollout`));
}

async function restoreOne(
  run: Run,
  change: ChangeMandate<DeploymentChange>,
  of: string,
  rollout?: ChangeMandate<RolloutChange>,
): Promise<void> {
  run.ifCutShort(`Hand the Deployment back${of}`, (isEnd) =>
    kubernetes.handBackDeployment(change.inverse, isEnd),
  );
  await run.step(`Restore the pod template${of}`, {
    // Of several, one may be left out, which the result then says.
    isNeeded: of === '',
    do: () => kubernetes.restoreTemplate(change),
    undo: async () => {
      const { text } = await kubernetes.restoreTemplate(change.inverse);
      let driven = await kubernetes.driveRollout(change.inverse);
      if (rollout) driven = await argoRollouts.driveRollout(rollout.inverse);
      return `${text} ${driven.text}`;
    },
    undoOnlyIf: () => kubernetes.compareRevisions(change),
  });
  await run.step(`Wait for every replica${of}`, {
    do: () => kubernetes.driveRollout(change),
  });
  if (!rollout) return;
  await run.step(`Wait for Argo Rollouts${of}`, {
    do: () => argoRollouts.driveRollout(rollout),
  });
}

function find<C extends Change>(run: Run, id: string): ChangeMandate<C> | undefined {
  return run.plan.changes.some((change) => change.id === id) ? run.change<C>(id) : undefined;
}

/** Commands that show what stands there. */
export function lookByHand({ targets }: Plan): string[] {
  const deployments = targets.filter(({ kind }) => kind === 'deployment');
  return deployments.flatMap(({ context, namespace, name }) => [
    `See what stands there: rollback history deployment/${name} -n ${namespace} --context ${context}`,
    `See its pods: rollback pods ${name} -n ${namespace} --context ${context}`,
  ]);
}
