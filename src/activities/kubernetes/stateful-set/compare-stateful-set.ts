import type { Clusters } from '../api.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { isReady, readOwnPods, revisionOf } from './pods.ts';
import type { StatefulSetHistory } from './revisions.ts';
import { readTargetHistory, type TemplateMandate } from './stateful-set-change.ts';

/**
 * Compares the pods of the plan's before and after as they are now. Before is healthier only where it
 * has pods that are ready and after has none, or where it still stands: putting a bad version back
 * needs a better reason than one red check.
 */
export async function compareStatefulSet(
  clusters: Clusters,
  mandate: TemplateMandate,
): Promise<Comparison> {
  const history = await readTargetHistory(clusters.of(mandate.change.target.context), mandate);
  if (history.template === mandate.change.before.template) {
    const text = 'nothing to take back: the template is the one that was there';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  return healthOf(clusters, history, mandate);
}

/** As `compareStatefulSet`, of a history that was read. */
export async function healthOf(
  clusters: Clusters,
  { statefulSet, revisions }: StatefulSetHistory,
  { change }: TemplateMandate,
): Promise<Comparison> {
  const pods = await readOwnPods(clusters.of(change.target.context), statefulSet);
  const readyOf = (template: string) => {
    const name = revisions.find((entry) => entry.template === template)?.name;
    return pods.filter((pod) => revisionOf(pod) === name && isReady(pod)).length;
  };
  const before = readyOf(change.before.template);
  const after = readyOf(change.after.template);
  return {
    beforeIsHealthier: before > 0 && after === 0,
    nothingToUndo: false,
    text: `${before} ready pods of the version that was left, ${after} of the one gone back to`,
  };
}
