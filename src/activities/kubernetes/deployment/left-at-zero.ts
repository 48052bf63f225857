import type { RunIdentity } from '../../../contract/plan.ts';
import { shellWord } from '../../../contract/printable.ts';
import type { Cluster } from '../api.ts';
import { inWords } from '../objects.ts';
import { replicasOf, scaledDown } from './replicas.ts';
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
  const note = scaledDown(deployment);
  if (!note || replicasOf(deployment) > 0) return undefined;
  const { name = '', namespace = '' } = deployment.metadata ?? {};
  const { replicas, run: workflowId, firstRunId, change } = note;
  // That of a plan for regions has the region in front; a start that is taken back stops it again.
  const isFor = (id: string) => change?.endsWith(`${id}/${namespace}/${name}`);
  if (firstRunId === undefined || !(isFor('stop') || isFor('start'))) return undefined;
  return { run: { workflowId, firstRunId }, replicas };
}

/**
 * That no pod of the Deployment runs, whichever version it gets, and what to do; empty where nobody stopped
 * it. Whether the run is still at its restore, a plan cannot know: one that is holds the Deployment.
 */
export function atZeroWarnings(cluster: Cluster, deployment: Deployment): string[] {
  const left = leftAtZero(deployment);
  if (!left) return [];
  const { name = '', namespace = '' } = deployment.metadata ?? {};
  const id = shellWord(left.run.workflowId);
  const scale = `kubectl --context ${shellWord(cluster.context)} -n ${shellWord(namespace)} scale deployment/${shellWord(name)} --replicas=${left.replicas}`;
  return [
    `${inWords({ kind: 'deployment', namespace, name })} has no replicas since run ${id} stopped it for a restore and has not started it again, and a rollback starts none: where that run has ended, rollback resume ${id}, or ${scale}`,
  ];
}
