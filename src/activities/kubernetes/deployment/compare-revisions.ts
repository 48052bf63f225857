import type { Clusters } from '../api.ts';
import { readTarget, type DeploymentMandate } from './deployment-change.ts';
import type { RevisionHistory } from './revisions.ts';

/** Whether what was left is measurably healthier than what was gone back to. */
export interface Comparison {
  beforeIsHealthier: boolean;
  /** Whether what was left still stands, so that there is nothing to take back. */
  nothingToUndo: boolean;
  /** The figures, in words. */
  text: string;
}

/**
 * Compares the pods of the plan's before and after as they are now. Before is healthier only where
 * it has pods that serve and after has none, or where it still stands: putting a bad version back
 * needs a better reason than one red check.
 */
export async function compareRevisions(
  clusters: Clusters,
  mandate: DeploymentMandate,
): Promise<Comparison> {
  const history = await readTarget(clusters.of(mandate.change.target.context), mandate);
  if (history.template === mandate.change.before.template) {
    const text = 'nothing to take back: the template was not changed';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  return healthOf(history, mandate);
}

/** As `compareRevisions`, of a history that was read. */
export function healthOf(history: RevisionHistory, mandate: DeploymentMandate): Comparison {
  if (mandate.change.after.idle) {
    const text = 'it has no pods of either version: its copy serves';
    return { beforeIsHealthier: true, nothingToUndo: false, text };
  }
  const availableOf = (template: string) =>
    history.revisions.find((entry) => entry.template === template)?.replicaSet.status
      ?.availableReplicas ?? 0;
  const before = availableOf(mandate.change.before.template);
  const after = availableOf(mandate.change.after.template);
  return {
    beforeIsHealthier: before > 0 && after === 0,
    nothingToUndo: false,
    text: `${before} available pods of the version that was left, ${after} of the one gone back to`,
  };
}
