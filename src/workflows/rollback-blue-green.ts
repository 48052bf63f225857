import { patched, sleep } from '@temporalio/workflow';
import type { DeletionChange } from '../activities/kubernetes/deployment/delete-deployment.ts';
import type { ReplicasChange } from '../activities/kubernetes/deployment/replicas.ts';
import type { SelectorChange } from '../activities/kubernetes/service/service.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { CutShort, Run } from './run/run.ts';
import { switchTraffic } from './run/switch-traffic.ts';

/**
 * R6: `kubectl patch service NAME` to the other colour, `kubectl get endpoints`, `kubectl scale
 * --replicas=0` and, where it was asked for, `kubectl delete deployment`. The other colour has all its
 * pods before it gets traffic, and the one that is left keeps its own until the checks are green and the
 * soak is over, which somebody may end early, or leave it at, or take all back in.
 */
export const rollbackBlueGreen = runbook('blue-green', {
  plan: (...request) => kubernetes.planBlueGreenRollback(...request),

  async steps(run) {
    if (plans(run, 'switch')) await switchColours(run);
    await run.verify();
    const isKept = plans(run, 'left') && !(await scaleDown(run));
    if (plans(run, 'delete') && !isKept) {
      const deletion = run.change<DeletionChange>('delete');
      await run.step(`Delete Deployment ${deletion.change.target.name}`, {
        do: () => kubernetes.deleteDeployment(deletion),
        noWayBack: 'only its manifest brings it back',
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

/** Answers false where somebody has decided during the soak that the Deployment keeps its pods. */
async function scaleDown(run: Run): Promise<boolean> {
  const left = run.change<ReplicasChange>('left');
  const { name, namespace, context } = left.change.target;
  const cut = await soak(run, left.change);
  if (cut?.stays) {
    run.leaveOpen(
      `Deployment ${name} keeps its pods (stopped by ${cut.by}): kubectl scale deployment ${name} --replicas=0 -n ${namespace} --context ${context} ends them`,
    );
    return false;
  }
  await run.step(`Scale Deployment ${name} to zero`, {
    do: () => kubernetes.scaleDeployment(left),
    undo: () => kubernetes.scaleDeployment(left.inverse),
  });
  return true;
}

/** Answers who has cut the soak short; undefined where nobody has, or there is none. */
async function soak(run: Run, { target, after }: ReplicasChange): Promise<CutShort | undefined> {
  const { soakSeconds = 0 } = after;
  if (soakSeconds === 0) return undefined;
  const title = `Keep Deployment ${target.name} for ${soakSeconds} s`;
  const ms = soakSeconds * 1000;
  if (patched('soak-takes-decisions')) return run.wait(title, ms);
  await run.step(title, {
    do: () => sleep(ms, { summary: `${target.name} could take over again` }),
  });
  return undefined;
}

function plans({ plan }: Run, id: string): boolean {
  return plan.changes.some((change) => change.id === id);
}
