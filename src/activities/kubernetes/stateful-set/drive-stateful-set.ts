import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import { type Cluster, type Clusters, KubernetesError } from '../api.ts';
import type { Obstacle } from '../deployment/obstacles.ts';
import { selectorOf } from '../deployment/revisions.ts';
import { followUntil, into, intoOne } from '../follow-until.ts';
import { scaleUpIsOnItsWay } from '../node-scale-up.ts';
import { inWords, objectPath } from '../objects.ts';
import { LastProgress, Patience, undoneWithoutProgressMs, Unseen } from '../patience.ts';
import { type Pod, podsPath } from '../pods.ts';
import { imagesOf } from '../templates.ts';
import { wakeStatefulSet } from '../wake.ts';
import { handBackStatefulSet } from './hand-back-stateful-set.ts';
import { findStatefulSetObstacle } from './obstacles.ts';
import { ownPods, replacementOf, revisionOf } from './pods.ts';
import { digestOf, type StatefulSet } from './revisions.ts';
import { nextToDelete, rolloutOf } from './rollout-state.ts';
import { readTargetHistory, templateEnds, type TemplateMandate } from './stateful-set-change.ts';

/**
 * Sees the rollout to the planned revision through to its end, by watch: complete as `kubectl rollout
 * status` says it. On the way it deletes the pods of other revisions that the controller waits for in
 * vain or, with OnDelete, does not replace: from the highest ordinal, one after the other, and each
 * only as it was seen. Pods below the partition are left alone.
 * An undo ends there as well, and says so.
 * @throws RolloutBlocked with the pod's own reason where it cannot finish.
 * @throws PlanStale where somebody else changes the template meanwhile.
 */
export async function driveStatefulSet(
  clusters: Clusters,
  mandate: TemplateMandate,
  progress: Progress,
): Promise<Effect> {
  const { target } = mandate.change;
  const { context, namespace, name } = target;
  const cluster = clusters.of(context);
  const { statefulSet: found } = await readTargetHistory(cluster, mandate);
  const sets = new Map<string, StatefulSet>();
  const pods = new Map<string, Pod>();
  const deleted = new Set<string>();
  const patience = new Patience();
  const ready = new LastProgress(progress);
  const unseen = new Unseen(progress);

  return followUntil(
    progress,
    cluster,
    [
      intoOne(sets, objectPath(target.kind, namespace), name),
      into(pods, podsPath(namespace), { labelSelector: selectorOf(found) }),
    ],
    look,
  );

  async function look(): Promise<Effect | undefined> {
    const statefulSet = sets.get(name);
    assertStillOurs(statefulSet, mandate);
    const own = ownPods(statefulSet, pods.values());
    const replacement = replacementOf(statefulSet);
    const revision = statefulSet.status?.updateRevision ?? '';
    const state = rolloutOf(statefulSet, own, replacement, revision);
    progress.report(state.text, state.ready, state.wanted);
    if (state.complete) {
      return handedBack(wordsOf(state.wanted, replacement));
    }
    const sinceMs = ready.msWithout(state.ready);
    const notSeen = unseen.obstacle(state.observed);
    if (notSeen) throw blocked(state.text, notSeen);
    if (!state.observed) return undefined;
    const stuck = nextToDelete(statefulSet, own, replacement, revision);
    if (stuck) {
      if (await deletePod(cluster, stuck)) deleted.add(stuck.metadata?.name ?? '');
      return undefined;
    }
    const { fromOrdinal, start } = replacement;
    // Outdated pods that are stuck are deleted, if they are to be replaced at all.
    const concerned = own.filter((pod) => revisionOf(pod) === revision || fromOrdinal > start);
    const found = { pods: own, concerned };
    const obstacle = await findStatefulSetObstacle(cluster, statefulSet, found, sinceMs);
    patience.see(obstacle, state.ready);
    if (mandate.undo && sinceMs >= undoneWithoutProgressMs) {
      return handedBack(`The version that was left is back, and ${state.text}.`);
    }
    if (!obstacle) return undefined;
    progress.report(`${state.text}; ${obstacle.text}`, state.ready, state.wanted);
    if (obstacle.kind === 'capacity' && patience.mayWake()) {
      await wakeStatefulSet(cluster, statefulSet);
    }
    if (!patience.isSpent(obstacle)) return undefined;
    if (obstacle.kind === 'capacity' && (await scaleUpIsOnItsWay(cluster, namespace, obstacle))) {
      patience.restart();
      return undefined;
    }
    if (mandate.undo) {
      return handedBack(`The version that was left is back, and ${state.text}: ${obstacle.text}.`);
    }
    throw blocked(state.text, obstacle);
  }

  function blocked(standing: string, obstacle: Obstacle): ApplicationFailure {
    return ApplicationFailure.nonRetryable(
      `The rollout of ${name} in ${namespace} cannot finish (${standing}): ${obstacle.text}.`,
      failureTypes.rolloutBlocked,
    );
  }

  async function handedBack(words: string): Promise<Effect> {
    const { text } = await handBackStatefulSet(clusters, mandate);
    return { changed: true, text: `${words}${ended(deleted)} ${text}` };
  }
}

function wordsOf(
  wanted: number,
  { replicas, fromOrdinal, start }: ReturnType<typeof replacementOf>,
): string {
  const kept = fromOrdinal - start;
  if (kept <= 0) return `All ${replicas} pods are ready.`;
  return `${wanted} of ${replicas} pods are replaced and all are ready; the ${Math.min(kept, replicas)} below ordinal ${fromOrdinal} keep their version (partition).`;
}

function ended(deleted: ReadonlySet<string>): string {
  return deleted.size > 0 ? ` Deleted to get on: ${[...deleted].join(', ')}.` : '';
}

function assertStillOurs(
  statefulSet: StatefulSet | undefined,
  mandate: TemplateMandate,
): asserts statefulSet is StatefulSet {
  const { target } = mandate.change;
  if (!statefulSet || statefulSet.metadata?.uid !== target.uid) {
    throw stale(`${inWords(target)} was deleted while it rolled out.`);
  }
  if (digestOf(statefulSet.spec?.template) !== templateEnds(mandate).to.template) {
    throw stale(
      `Somebody else changed ${inWords(target)} while it rolled out (it now asks for ${imagesOf(statefulSet.spec?.template).join(', ')}): their change stays; find out whose it is before you start again.`,
    );
  }
}

/** Deletes exactly this pod; false where it is gone or another one has its name. */
async function deletePod(cluster: Cluster, { metadata }: Pod): Promise<boolean> {
  try {
    await cluster.delete(`${podsPath(metadata?.namespace ?? '')}/${metadata?.name}`, {
      uid: metadata?.uid,
    });
    return true;
  } catch (error) {
    if (error instanceof KubernetesError && [404, 409].includes(error.status)) return false;
    throw error;
  }
}
