import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import { selectorOf } from '../deployment/revisions.ts';
import { followUntil, into, intoOne } from '../follow-until.ts';
import { scaleUpIsOnItsWay } from '../node-scale-up.ts';
import { annotationPointer, inWords, objectPath, pointerToken, readTarget } from '../objects.ts';
import { LastProgress, Patience, Unseen } from '../patience.ts';
import { podsPath, type Pod } from '../pods.ts';
import { restartedAnnotation } from '../templates.ts';
import { wakeReplicaSets, wakeStatefulSet } from '../wake.ts';
import { findRestartObstacle, restartProgress } from './restart-progress.ts';
import {
  restartNote,
  restartNoteAnnotation,
  type RestartMandate,
  type RestartReference,
  restartState,
  type Workload,
  type WorkloadKind,
} from './workload.ts';

/**
 * Restarts a workload as `kubectl rollout restart` does, once in a run, and sees it through until its
 * pods are new. An undo restarts it once more, where this run has restarted it.
 * @throws RolloutBlocked with the pod's own reason where the new pods do not get ready.
 * @throws PlanStale as changeObject does.
 */
export async function restartWorkload(
  clusters: Clusters,
  mandate: RestartMandate,
  progress: Progress,
): Promise<Effect> {
  const effect = await changeObject(clusters, mandate, aspectFor(mandate));
  // An undo that finds nothing of this run's to take back has nothing to wait for.
  if (mandate.undo && !effect.changed) return effect;
  const cluster = clusters.of(mandate.change.target.context);
  return { ...effect, text: await untilRestarted(cluster, mandate, progress) };
}

function aspectFor(mandate: RestartMandate): Aspect<Workload, RestartReference> {
  return {
    isOwn: true,
    stateOf: (workload) => restartState(workload, mandate),
    operations: (workload) => [
      ...templateOperations(workload),
      { op: 'add', path: annotationPointer(restartNoteAnnotation), value: restartNote(mandate) },
    ],
    inWords: ({ restarted }) =>
      restarted ? 'is restarted' : mandate.undo ? 'is restarted once more' : 'has another version',
  };
}

function templateOperations({ spec }: Workload): JsonPatchOperation[] {
  const path = '/spec/template/metadata';
  const value = new Date().toISOString();
  if (!spec?.template.metadata) {
    return [{ op: 'add', path, value: { annotations: { [restartedAnnotation]: value } } }];
  }
  if (!spec.template.metadata.annotations) {
    const annotations = { [restartedAnnotation]: value };
    return [{ op: 'add', path: `${path}/annotations`, value: annotations }];
  }
  const key = pointerToken(restartedAnnotation);
  return [{ op: 'add', path: `${path}/annotations/${key}`, value }];
}

const wake = { deployment: wakeReplicaSets, statefulset: wakeStatefulSet };

async function untilRestarted(
  cluster: Cluster,
  { change }: RestartMandate,
  progress: Progress,
): Promise<string> {
  const { namespace, name, uid } = change.target;
  const kind = change.target.kind as WorkloadKind;
  const workloads = new Map<string, Workload>();
  const pods = new Map<string, Pod>();
  const patience = new Patience();
  const last = new LastProgress(progress);
  const unseen = new Unseen(progress);
  const labelSelector = selectorOf(await readTarget<Workload>(cluster, change.target));
  return followUntil(
    progress,
    cluster,
    [
      intoOne(workloads, objectPath(kind, namespace), name),
      into(pods, podsPath(namespace), { labelSelector }),
    ],
    async () => {
      const workload = workloads.get(name);
      if (workload?.metadata?.uid !== uid) {
        throw stale(`${inWords(change.target)} was deleted while it restarted.`);
      }
      const { observed, isComplete, ready, wanted, text } = restartProgress(kind, workload);
      progress.report(text, ready, wanted);
      if (isComplete) return `${inWords(change.target)}: ${text}.`;
      const all = [...pods.values()];
      const sinceMs = last.msWithout(ready);
      const obstacle =
        unseen.obstacle(observed) ??
        (observed ? await findRestartObstacle(cluster, kind, workload, all, sinceMs) : undefined);
      patience.see(obstacle, ready);
      if (!obstacle) return undefined;
      if (obstacle.kind === 'capacity' && patience.mayWake()) await wake[kind](cluster, workload);
      if (!patience.isSpent(obstacle)) return undefined;
      if (obstacle.kind === 'capacity' && (await scaleUpIsOnItsWay(cluster, namespace, obstacle))) {
        patience.restart();
        return undefined;
      }
      throw ApplicationFailure.nonRetryable(
        `The restart of ${inWords(change.target)} cannot finish (${text}): ${obstacle.text}.`,
        failureTypes.rolloutBlocked,
      );
    },
  );
}
