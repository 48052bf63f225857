import type { RunIdentity } from '../../../contract/plan.ts';
import { markOf, standingChangesBy } from '../objects.ts';
import { replicasBefore, replicasOf } from './replicas.ts';
import type { Deployment } from './revisions.ts';

/** A Deployment that a run has scaled to zero for a restore and not started again. */
export interface LeftAtZero {
  run: RunIdentity;
  /** How many it had before. */
  replicas: number;
}

/**
 * Who has stopped the Deployment for a restore and not started it since; undefined where nobody did. The
 * colour that a blue-green rollback leaves at zero is none of these.
 */
export function leftAtZero(deployment: Deployment): LeftAtZero | undefined {
  const mark = markOf(deployment);
  if (!mark || replicasOf(deployment) > 0) return undefined;
  const { name = '', namespace = '' } = deployment.metadata ?? {};
  const standing = standingChangesBy(deployment, mark);
  // Those of a plan for regions have the region in front.
  const has = (id: string) => standing.some((each) => each.endsWith(`${id}/${namespace}/${name}`));
  if (!has('stop') || has('start')) return undefined;
  const { workflowId, firstRunId } = mark;
  return { run: { workflowId, firstRunId }, replicas: replicasBefore(deployment) ?? 1 };
}
