import type { AbortChange } from '../activities/argo-rollouts/abort-change.ts';
import type {
  CanaryDeletionChange,
  CanaryReplicasChange,
  RoutesChange,
  RuleDeletionChange,
} from '../activities/kubernetes/canary/canary-change.ts';
import type { Change } from '../contract/plan.ts';
import { argoRollouts, gatewayApi, istio, kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/run.ts';

/**
 * R7: `kubectl patch virtualservice` so that the canary gets no traffic, `kubectl delete deployment`
 * and `kubectl delete destinationrule` of the canary, with only the weights of the routes that name
 * it changed, pods that are ready for its traffic, and nothing deleted before all else is seen to be
 * well. Where Argo Rollouts sets the weights, it is told to abort its update.
 */
export const rollbackCanary = runbook('canary', {
  plan: (...request) => kubernetes.planCanaryRollback(...request),

  async steps(run) {
    for (const change of changesOf<AbortChange>(run, '/abort')) {
      await run.step(`Abort ${nameOf(change)}`, {
        isNeeded: true,
        do: () => argoRollouts.abortRollout(change),
        undo: () => argoRollouts.abortRollout(change.inverse),
        undoOnlyIf: () => argoRollouts.compareRollout(change),
      });
    }
    await run.together(
      changesOf<RoutesChange>(run, '/routes').map((change) => {
        const { shiftTraffic } = change.change.kind === 'httproute/routes' ? gatewayApi : istio;
        return () =>
          run.step(`Turn ${nameOf(change)} away from the canary`, {
            isNeeded: true,
            do: () => shiftTraffic(change),
            undo: () => shiftTraffic(change.inverse),
            undoOnlyIf: () => kubernetes.compareCanary(change),
          });
      }),
    );
    for (const change of changesOf<CanaryReplicasChange>(run, 'deployment/replicas')) {
      await run.step(`Scale ${nameOf(change)} to zero`, {
        do: () => kubernetes.scaleCanary(change),
        undo: () => kubernetes.scaleCanary(change.inverse),
      });
    }
    await run.verify();
    await cleanUp(run);
  },

  byHand: ({ targets }) =>
    targets.map(
      ({ context, namespace, kind, name }) =>
        `See what stands there: kubectl get ${kind} ${name} -n ${namespace} --context ${context} -o yaml`,
    ),
});

/**
 * Deletes what is the canary's alone: its rule before its pods' Deployment. To undo that only says that
 * there is no way back, so that no traffic is sent again where nothing is left.
 */
async function cleanUp(run: Run): Promise<void> {
  const rules = changesOf<RuleDeletionChange>(run, 'destinationrule/delete');
  const deployments = changesOf<CanaryDeletionChange>(run, 'deployment/delete');
  if (!run.isWhole && rules.length + deployments.length > 0) {
    return run.leaveOpen('Since something was left out, nothing of the canary was deleted');
  }
  for (const change of rules) {
    await run.step(`Delete ${nameOf(change)}`, {
      do: () => istio.deleteDestinationRule(change),
      undo: () => istio.deleteDestinationRule(change.inverse),
    });
  }
  for (const change of deployments) {
    await run.step(`Delete ${nameOf(change)}`, {
      do: () => kubernetes.deleteCanary(change),
      undo: () => kubernetes.deleteCanary(change.inverse),
    });
  }
}

function changesOf<C extends Change>(run: Run, kind: string): ChangeMandate<C>[] {
  const changes = run.plan.changes.filter((change) => change.kind.endsWith(kind));
  return changes.map(({ id }) => run.change<C>(id));
}

function nameOf({ change: { target } }: ChangeMandate<Change>): string {
  return `${target.kind}/${target.name}`;
}
