import { isRace } from '../kubernetes/race.ts';
import { ApplicationFailure } from '@temporalio/common';
import { lastActivityMayLiveMs } from '../../contract/activities.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Cluster, Clusters } from '../kubernetes/api.ts';
import { sidesOf } from '../kubernetes/canary/canary-change.ts';
import { canaryTraffic, readMesh, readRouters } from '../kubernetes/canary/mesh.ts';
import { readReadiness } from '../kubernetes/canary/sides.ts';
import type { Comparison } from '../kubernetes/deployment/compare-revisions.ts';
import { followUntil, intoOne } from '../kubernetes/follow-until.ts';
import { markOperations } from '../kubernetes/change-object.ts';
import { assertMayUndo } from '../kubernetes/may-undo.ts';
import {
  changesBy,
  inWords,
  markOf,
  objectPath,
  readTarget,
  standingChangesBy,
} from '../kubernetes/objects.ts';
import type { Progress } from '../progress.ts';
import type { AbortMandate } from './abort-change.ts';
import { isPromoted, type Rollout, rolloutsPath } from './rollout.ts';

/** Its controller turns the traffic at once; one that has not by then is not there. */
const turnedWithinMs = 60_000;

/**
 * Aborts the update that a Rollout tries out, as `kubectl argo rollouts abort` does, and waits until no
 * route sends anything to its canary; or lets it begin again, as `kubectl argo rollouts retry` does.
 * @throws PlanStale where the Rollout has another version by now, or this one was promoted.
 * @throws RolloutBlocked where its controller does not turn the traffic.
 */
export async function abortRollout(
  clusters: Clusters,
  mandate: AbortMandate,
  progress: Progress,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  const what = inWords(target);
  await assertMayUndo(mandate, () => compareRollout(clusters, mandate));
  const isChanged = await setAbort(cluster, mandate);
  if (mandate.undo) {
    return { changed: isChanged, text: `${what} tries its update again, from the first step.` };
  }
  const rollouts = new Map<string, Rollout>();
  const unturned = progress.standstill('traffic');
  await followUntil(
    progress,
    cluster,
    [intoOne(rollouts, rolloutsPath(target.namespace), target.name)],
    async () => {
      const routers = await readRouters(cluster, target.namespace);
      const [traffic] = canaryTraffic(routers, sidesOf(mandate.change).canary);
      if (!traffic) return true;
      progress.report(`Waiting for Argo Rollouts to turn the traffic: ${traffic.text}`);
      if (unturned.ms() < turnedWithinMs) return undefined;
      throw ApplicationFailure.nonRetryable(
        `${what} is aborted, and its controller has not turned the traffic within ${turnedWithinMs / 1000} s (${traffic.text}): see that the controller runs, and try again.`,
        failureTypes.rolloutBlocked,
      );
    },
  );
  return { changed: isChanged, text: `${what} is aborted: its canary gets no traffic.` };
}

/**
 * Compares both sides as they are now: what is tried out is healthier only where it alone has ready
 * pods; there is nothing to take back where its update goes on.
 */
export async function compareRollout(
  clusters: Clusters,
  { change }: AbortMandate,
): Promise<Comparison> {
  const cluster = clusters.of(change.target.context);
  const { status } = await readTarget<Rollout>(cluster, change.target);
  if (!status?.abort) {
    const text = 'nothing to take back: its update is not aborted';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const mesh = await readMesh(cluster, change.target.namespace);
  const { canary, stable, text } = await readReadiness(mesh, sidesOf(change));
  return { beforeIsHealthier: canary > 0 && stable === 0, nothingToUndo: false, text };
}

/**
 * Tells the controller to abort, or not to any more; false where it knew. The run notes on the Rollout
 * that it does before it does it, so that it does not do it again after somebody has taken it back.
 */
async function setAbort(cluster: Cluster, mandate: AbortMandate): Promise<boolean> {
  const { change, undo } = mandate;
  const { target, before, after } = change;
  const path = objectPath('rollout', target.namespace, target.name);
  const wanted = (undo ? before : after).aborted;
  for (;;) {
    const rollout = await readTarget<Rollout>(cluster, target);
    const { status } = rollout;
    if (status?.currentPodHash !== before.podHash) {
      throw stale(
        `${inWords(target)} tries another version by now: look at it, and start again if that one is bad as well.`,
      );
    }
    if (isPromoted(rollout)) {
      throw stale(
        `${inWords(target)} has promoted its update meanwhile: roll back the Deployment or the manifest that it follows.`,
      );
    }
    if ((status.abort ?? false) === wanted) return false;
    const version = await noteAbort(cluster, rollout, mandate);
    if (version === undefined) continue;
    try {
      await cluster.patch(`${path}/status`, [
        { op: 'test', path: '/metadata/uid', value: target.uid },
        { op: 'test', path: '/metadata/resourceVersion', value: version },
        { op: 'add', path: '/status/abort', value: wanted },
      ]);
      return true;
    } catch (error) {
      // A `test` failed, so it changed since it was read, as its controller does all the time.
      if (!isRace(error)) throw error;
    }
  }
}

/**
 * Notes on the Rollout what is about to be done to its status, which a patch of the status cannot do.
 * @returns the version that was noted on; undefined where it changed since it was read
 */
async function noteAbort(
  cluster: Cluster,
  rollout: Rollout,
  mandate: AbortMandate,
): Promise<string | undefined> {
  const { change, undo, run } = mandate;
  const { target } = change;
  const isOurs = changesBy(rollout, run).includes(change.id);
  const stands = standingChangesBy(rollout, run).includes(change.id);
  if (undo && !isOurs) {
    throw stale(
      `${inWords(target)} was not aborted by this run: there is nothing of its own to take back.`,
    );
  }
  const { resourceVersion } = rollout.metadata ?? {};
  const isNoted = isOurs && stands !== undo;
  const sinceMs = Date.now() - Date.parse(markOf(rollout)?.at ?? '');
  // An attempt that noted it may not have lived to do it; the next one begins soon after.
  if (isNoted && sinceMs < lastActivityMayLiveMs + turnedWithinMs) return resourceVersion;
  if (isNoted || (isOurs && !undo)) {
    throw stale(
      `This run has ${undo ? 'taken its abort back' : 'aborted the update'} of ${inWords(target)} before, and somebody has changed that since: find out who, and start a new run if it needs another rollback.`,
    );
  }
  try {
    const marked = await cluster.patch<Rollout>(
      objectPath('rollout', target.namespace, target.name),
      [
        { op: 'test', path: '/metadata/uid', value: target.uid },
        { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
        ...markOperations(rollout, mandate),
      ],
    );
    return marked.metadata?.resourceVersion;
  } catch (error) {
    if (isRace(error)) return undefined;
    throw error;
  }
}
