import type { ExtraChange } from '../activities/kubernetes/ingress/extra-ingress.ts';
import type { BackendsChange } from '../activities/kubernetes/ingress/ingress.ts';
import type { Change } from '../contract/plan.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { Run } from './run/run.ts';

/**
 * R17: `kubectl apply` of an Ingress to the maintenance page, where no other one is about the host;
 * where one is, its backends are swapped, since of two it is not sure which one wins.
 */
export const redirectTraffic = runbook('redirect', {
  plan: (...request) => kubernetes.planRedirect(...request),

  async steps(run, { state }) {
    await run.together(run.plan.changes.map((change) => () => redirect(run, change, state)));
  },

  byHand: ({ targets }) =>
    targets.map(
      ({ context, namespace, name }) =>
        `See where it sends its traffic: kubectl describe ingress ${name} -n ${namespace} --context ${context}`,
    ),
});

async function redirect(run: Run, { id, kind, target }: Change, state: 'on' | 'off') {
  // Of several, one may be left out, which the result then says.
  const isNeeded = run.plan.changes.length === 1;
  const title = `${state === 'on' ? 'Redirect' : 'Restore'} Ingress ${target.name}`;
  if (kind === 'ingress/extra') {
    const change = run.change<ExtraChange>(id);
    return run.step(title, {
      isNeeded,
      do: () => kubernetes.setExtraIngress(change),
      undo: () => kubernetes.setExtraIngress(change.inverse),
      // Back to the maintenance page is always safe; back from it is not.
      undoOnlyIf: state === 'on' ? () => kubernetes.compareRedirect(change) : undefined,
    });
  }
  const change = run.change<BackendsChange>(id);
  return run.step(title, {
    isNeeded,
    do: () => kubernetes.swapBackends(change),
    undo: () => kubernetes.swapBackends(change.inverse),
    undoOnlyIf: state === 'on' ? () => kubernetes.compareRedirect(change) : undefined,
  });
}
