import type {
  RemovalChange,
  RoutesChange,
  ScaleChange,
} from '../activities/kubernetes/canary/canary-change.ts';
import type { Change } from '../contract/plan.ts';
import { gatewayApi, istio, kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/steps.ts';

/**
 * R7: `kubectl patch virtualservice` so that the canary gets no traffic, `kubectl delete deployment`
 * and `kubectl delete destinationrule` of the canary, with only the weights of the routes that name
 * it changed, pods that are ready for its traffic, and nothing deleted before all else is seen to be
 * well.
 */
export const rollbackCanary = runbook('canary', {
  plan: (...request) => kubernetes.planCanaryRollback(...request),

  async steps(run) {
    await run.together(
      changesOf<RoutesChange>(run, '/routes').map((change) => {
        const { shiftTraffic } = change.change.kind === 'httproute/routes' ? gatewayApi : istio;
        return () =>
          run.step(`Turn ${nameOf(change)} away from the canary`, {
            do: () => shiftTraffic(change),
            undo: () => shiftTraffic(change.inverse),
            undoOnlyIf: () => kubernetes.compareCanary(change),
          });
      }),
    );
    for (const change of changesOf<ScaleChange>(run, '/replicas')) {
      await run.step(`Scale ${nameOf(change)} to zero`, {
        do: () => kubernetes.driveScale(change),
        undo: () => kubernetes.driveScale(change.inverse),
      });
    }
    await run.verify();
    const removals = changesOf<RemovalChange>(run, '/removal');
    if (!run.isWhole && removals.length > 0) {
      return run.leaveOpen(
        'Nothing of the canary was deleted, since something was left out before.',
      );
    }
    for (const change of removals) {
      const remove =
        change.change.kind === 'deployment/removal'
          ? kubernetes.deleteDeployment
          : istio.deleteDestinationRule;
      await run.step(`Delete ${nameOf(change)}`, {
        do: () => remove(change),
        // Says that there is no way back, so that no traffic is sent where nothing is left.
        undo: () => remove(change.inverse),
      });
    }
  },

  byHand: ({ targets }) =>
    targets.map(
      ({ context, namespace, kind, name }) =>
        `See what stands there: kubectl get ${kind} ${name} -n ${namespace} --context ${context} -o yaml`,
    ),
});

function changesOf<C extends Change>(run: Run, kind: string): ChangeMandate<C>[] {
  const changes = run.plan.changes.filter((change) => change.kind.endsWith(kind));
  return changes.map(({ id }) => run.change<C>(id));
}

function nameOf({ change: { target } }: ChangeMandate<Change>): string {
  return `${target.kind} ${target.name}`;
}
