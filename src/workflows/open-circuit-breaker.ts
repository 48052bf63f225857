import type { BreakerChange } from '../activities/kubernetes/config-map/breaker.ts';
import type { RestartChange } from '../activities/kubernetes/restart/workload.ts';
import { kubernetes } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R16: `kubectl patch configmap` and `kubectl rollout restart` of what reads it, and of nothing else.
 * Closing puts the values back that were there before.
 */
export const openCircuitBreaker = runbook('circuit-breaker', {
  plan: (...request) => kubernetes.planCircuitBreaker(...request),

  async steps(run, { state }) {
    const restarts = run.plan.changes
      .filter(({ kind }) => kind.endsWith('/restart'))
      .map(({ id }) => run.change<RestartChange>(id));
    if (run.plan.changes.some(({ id }) => id === 'breaker')) {
      const breaker = run.change<BreakerChange>('breaker');
      await run.step(state === 'open' ? 'Open the circuit breaker' : 'Close the circuit breaker', {
        isNeeded: true,
        do: () => kubernetes.setBreaker(breaker),
        undo: async () => {
          const { text } = await kubernetes.setBreaker(breaker.inverse);
          // Only now: restarted earlier, they would read the values that are taken back.
          await run.together(
            restarts.map(({ inverse }) => async () => {
              await kubernetes.restartWorkload(inverse);
            }),
          );
          return text;
        },
        undoOnlyIf: () => kubernetes.compareBreaker(breaker),
      });
    }
    await run.together(
      restarts.map((restart) => {
        const { kind, name } = restart.change.target;
        const title = `Restart ${kind}/${name}`;
        return () => run.step(title, { do: () => kubernetes.restartWorkload(restart) });
      }),
    );
  },

  byHand: ({ targets }) =>
    targets.map(({ kind, context, namespace, name }) =>
      kind === 'configmap'
        ? `See its values: kubectl get configmap ${name} -n ${namespace} --context ${context} -o yaml`
        : `See whether it has restarted: kubectl rollout status ${kind}/${name} -n ${namespace} --context ${context}`,
    ),
});
