import type { Clusters } from '../api.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { objectPath, readTarget } from '../objects.ts';
import type { Workload } from '../restart/workload.ts';
import { type BreakerMandate, type ConfigMap, isSameValues, valuesOf } from './breaker.ts';

/**
 * Whether the values that were left are measurably better: only where a consumer that was to be
 * restarted has nobody available any more. Closing a breaker opens the way for traffic, which needs a
 * better reason than a restart that failed.
 */
export async function compareBreaker(
  clusters: Clusters,
  { change, plan }: BreakerMandate,
): Promise<Comparison> {
  const cluster = clusters.of(change.target.context);
  const configMap = await readTarget<ConfigMap>(cluster, change.target);
  if (isSameValues(valuesOf(configMap, Object.keys(change.before)), change.before)) {
    const text = 'nothing to take back: the ConfigMap was not changed';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const consumers = plan.targets.filter(
    ({ kind, context }) => kind !== 'configmap' && context === change.target.context,
  );
  const dead = await Promise.all(
    consumers.map(async ({ kind, namespace, name }) => {
      const found = await cluster.find<Workload>(objectPath(kind, namespace, name));
      return (found?.spec?.replicas ?? 0) > 0 && !found?.status?.availableReplicas;
    }),
  );
  const names = consumers.filter((_, index) => dead[index]).map(({ name }) => name);
  return {
    beforeIsHealthier: names.length > 0,
    nothingToUndo: false,
    text:
      names.length > 0
        ? `${names.join(', ')} has no available pod since`
        : 'all consumers still have available pods',
  };
}
