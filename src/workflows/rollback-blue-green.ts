import { sleep } from '@temporalio/workflow';
import type { DeletionChange } from '../activities/kubernetes/deployment/delete-deployment.ts';
import type { ReplicasChange } from '../activities/kubernetes/deployment/replicas.ts';
import type { SelectorChange } from '../activities/kubernetes/service/service.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { Run } from './run/run.ts';
import { switchTraffic } from './run/switch-traffic.ts';

/**
 * R6: `kubectl patch service NAME` to the other colour, `kubectl get endpoints`, `kubectl scale
 * --replicas=0` and, where it was asked for, `kubectl delete deployment`. The other colour has all its
 * pods before it gets traffic, and the one that is left keeps its own until the checks are green.
 */
export const rollbackBlueGreen = runbook('blue-green', {
  plan: (...request) => kubernetes.planBlueGreenRollback(...request),

  async steps(run) {
    if (plans(run, 'switch')) await switchColours(run);
    await run.verify();
    if (plans(run, 'left')) await scaleDown(run);
    if (plans(run, 'delete')) {
      const deletion = run.change<DeletionChange>('delete');
      await run.step(`Delete Deployment ${deletion.change.target.name}`, {
        do: () => kubernetes.deleteDeployment(deletion),
      });
    }
  },

  byHand: ({ targets }) =>
    targets.map(({ kind, context, namespace, name }) =>
      kind === 'service'
        ? `See who gets the traffic: kubectl get endpointslices -l kubernetes.io/service-name=${name} -n ${namespace} --context ${context}`
        : `See its pods: rollback pods ${name} -n ${namespace} --context ${context}`,
    ),
});

async function switchColours(run: Run): Promise<void> {
  const other = run.change<ReplicasChange>('other');
  const selector = run.change<SelectorChange>('switch');
  await run.step(`Bring Deployment ${other.change.target.name} up`, {
    do: () => kubernetes.scaleDeployment(other),
    undo: () => kubernetes.scaleDeployment(other.inverse),
  });
  await run.step('Switch the Service', {
    isNeeded: true,
    do: () => switchTraffic(selector),
    undo: () => switchTraffic(selector.inverse),
    undoOnlyIf: () => kubernetes.compareColours(selector),
  });
}

async function scaleDown(run: Run): Promise<void> {
  const left = run.change<ReplicasChange>('left');
  const { target, after } = left.change;
  const { soakSeconds = 0 } = after;
  if (soakSeconds > 0) {
    await run.step(`Keep Deployment ${target.name} for ${soakSeconds} s`, {
      do: () => sleep(soakSeconds * 1000, { summary: `${target.name} could take over again` }),
    });
  }
  await run.step(`Scale Deployment ${target.name} to zero`, {
    do: () => kubernetes.scaleDeployment(left),
    undo: () => kubernetes.scaleDeployment(left.inverse),
  });
}

function plans({ plan }: Run, id: string): boolean {
  return plan.changes.some((change) => change.id === id);
}
