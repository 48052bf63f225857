import type { Comparison } from '../deployment/compare-revisions.ts';
import type { Clusters } from '../api.ts';
import { readTarget } from '../objects.ts';
import { readyPods } from '../service/endpoints.ts';
import { type SelectorMandate, selectorText, type Service } from '../service/service.ts';

/**
 * Compares the ready pods of the colour that was left and of the one that has the traffic now. What
 * was left is healthier only where it has some and the other has none, or where it still has the
 * traffic.
 */
export async function compareColours(
  clusters: Clusters,
  { change }: SelectorMandate,
): Promise<Comparison> {
  const { target, before, after } = change;
  const cluster = clusters.of(target.context);
  const service = await readTarget<Service>(cluster, target);
  if (selectorText(service.spec?.selector) === before.selector) {
    const text = 'nothing to take back: the Service was not switched';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const [left, now] = await Promise.all(
    [before, after].map(({ selector }) => readyPods(cluster, target.namespace, selector)),
  );
  const [leftCount, nowCount] = [left?.length ?? 0, now?.length ?? 0];
  return {
    beforeIsHealthier: leftCount > 0 && nowCount === 0,
    nothingToUndo: false,
    text: `${leftCount} ready pods with ${before.selector}, which was left, and ${nowCount} with ${after.selector}`,
  };
}
