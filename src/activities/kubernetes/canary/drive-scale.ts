import type { Effect, RunIdentity } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Clusters, JsonPatchOperation } from '../api.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import { findObstacle } from '../deployment/obstacles.ts';
import { type Deployment, selectorOf } from '../deployment/revisions.ts';
import { rolloutState } from '../deployment/rollout-state.ts';
import { follow } from '../follow.ts';
import { followUntil } from '../follow-until.ts';
import { annotationPointer, inWords, objectPath, readAnnotation, readTarget } from '../objects.ts';
import { Patience } from '../patience.ts';
import { podsPath, type Pod } from '../pods.ts';
import { type ScaleChange, type ScaleMandate, sidesOf } from './canary-change.ts';
import { assertNoTraffic, readMesh } from './mesh.ts';
import { assertStableReady, blocked } from './sides.ts';

const replicasAnnotation = 'rollback-workflows/earlier-replicas';

/** Value of the annotation: how many replicas there were before a run scaled to zero. */
interface EarlierReplicas {
  replicas: number;
  run: RunIdentity;
}

/**
 * Scales a Deployment that gets no traffic to zero, or back to the replicas that it had then, and sees
 * that through to its end, by watch. An autoscaler leaves a Deployment with zero replicas alone, and
 * goes on from the number that is put back.
 * @throws PlanStale where a route sends something to the canary, or somebody else has scaled it since.
 * @throws RolloutBlocked where only the canary's pods are ready, or its pods do not come back.
 */
export async function driveScale(
  clusters: Clusters,
  mandate: ScaleMandate,
  progress: Progress,
): Promise<Effect> {
  const { change, undo } = mandate;
  const { target } = change;
  if (!undo) {
    const sides = sidesOf(change);
    const mesh = await readMesh(clusters.of(target.context), target.namespace);
    assertNoTraffic(mesh, sides.canary);
    if (sides.stable.length > 0) await assertStableReady(mesh, sides);
  }
  const { changed, text } = await changeObject(clusters, mandate, scaleAspect(change, mandate.run));
  // What was never scaled need not come back either.
  if (undo && !changed) return { changed, text };
  const end = await untilScaled(clusters, mandate, progress);
  return { changed, text: `${text} ${end}` };
}

function scaleAspect(
  { before }: ScaleChange,
  run: RunIdentity,
): Aspect<Deployment, ScaleChange['before']> {
  return {
    stateOf: (deployment) => ({ ...before, running: replicasOf(deployment) > 0 }),
    operations: (deployment, { running }) => (running ? back(deployment) : toZero(deployment, run)),
    inWords: ({ running }) => (running ? 'has replicas' : 'has no replicas'),
  };
}

function toZero(deployment: Deployment, run: RunIdentity): JsonPatchOperation[] {
  const kept: EarlierReplicas = { replicas: replicasOf(deployment), run };
  return [
    { op: 'add', path: annotationPointer(replicasAnnotation), value: JSON.stringify(kept) },
    { op: 'replace', path: '/spec/replicas', value: 0 },
  ];
}

function back(deployment: Deployment): JsonPatchOperation[] {
  const kept = readAnnotation<EarlierReplicas>(deployment, replicasAnnotation);
  if (!kept) {
    const { name, namespace } = deployment.metadata ?? {};
    throw stale(
      `Deployment ${name} in ${namespace} no longer says how many replicas it had: scale it by hand, with kubectl scale deployment/${name} -n ${namespace}.`,
    );
  }
  return [
    { op: 'remove', path: annotationPointer(replicasAnnotation) },
    { op: 'replace', path: '/spec/replicas', value: kept.replicas },
  ];
}

/** Replicas that are asked for; the API server writes 1 where nobody says. */
export function replicasOf({ spec }: Deployment): number {
  return spec?.replicas ?? 1;
}

async function untilScaled(
  clusters: Clusters,
  { change, undo }: ScaleMandate,
  progress: Progress,
): Promise<string> {
  const { target } = change;
  const { namespace, name, uid } = target;
  const cluster = clusters.of(target.context);
  const deployment = await readTarget<Deployment>(cluster, target);
  const deployments = new Map<string, Deployment>();
  const pods = new Map<string, Pod>();
  const patience = new Patience();
  const followed = objectPath('deployment', namespace);
  const itself = { fieldSelector: `metadata.name=${name}` };
  const ofPods = { labelSelector: selectorOf(deployment) };
  let listed = false;
  const seen = (changed: () => void) => () => {
    listed = true;
    changed();
  };
  return followUntil(
    progress,
    [
      (changed, signal) => follow(cluster, followed, itself, deployments, seen(changed), signal),
      (changed, signal) => follow(cluster, podsPath(namespace), ofPods, pods, changed, signal),
    ],
    () => {
      if (!listed) return undefined;
      const now = deployments.get(name);
      if (now?.metadata?.uid !== uid) {
        throw stale(`${inWords(target)} was deleted while it was scaled.`);
      }
      if (undo !== replicasOf(now) > 0) {
        throw stale(
          `Somebody else scaled ${inWords(target)} to ${replicasOf(now)} replicas meanwhile: that stays.`,
        );
      }
      const state = rolloutState(now);
      const left = now.status?.replicas ?? 0;
      const text = undo ? state.text : `${left} pods left`;
      progress.report(text, state.available, state.wanted);
      if (!state.observed) return undefined;
      if (undo ? state.complete : left === 0) return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
      const obstacle = undo ? findObstacle(now, [...pods.values()]) : undefined;
      patience.see(obstacle, state.available);
      if (!obstacle || !patience.isSpent(obstacle)) return undefined;
      throw blocked(`${inWords(target)} does not come back (${text}): ${obstacle.text}.`);
    },
  );
}
