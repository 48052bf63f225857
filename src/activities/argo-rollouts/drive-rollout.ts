import { isRace } from '../kubernetes/race.ts';
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../kubernetes/api.ts';
import { deploymentPath, type Deployment } from '../kubernetes/deployment/revisions.ts';
import { followUntil, intoOne } from '../kubernetes/follow-until.ts';
import { inWords, objectPath, readTarget } from '../kubernetes/objects.ts';
import { templateDigest } from '../kubernetes/templates.ts';
import type { Progress } from '../progress.ts';
import { isPromoted, type Rollout, rolloutsPath } from './rollout.ts';
import { rolloutEnds, type RolloutMandate } from './rollout-change.ts';

/** Argo Rollouts may say for a moment of the new template what was true of the one before. */
const degradedMustLastMs = 5000;
/** A controller that has not seen a template by then is not there. */
const seenWithinMs = 60_000;

/**
 * Sees a Rollout through to the template that its Deployment has been given. Going back is an update
 * for it like any other, with all steps, pauses and analyses; so once it has seen the template it is
 * promoted in full, as with `kubectl argo rollouts promote --full`. Back to its stable ReplicaSet it
 * goes at once by itself (argo-rollouts, canary.go and sync.go). To hold it by `spec.paused` would
 * keep it from going back as well.
 * @throws RolloutBlocked with its own reason where it cannot finish.
 * @throws PlanStale where somebody else changes the template, or pauses it.
 */
export async function driveRollout(
  clusters: Clusters,
  mandate: RolloutMandate,
  progress: Progress,
): Promise<Effect> {
  const { context, namespace, name, uid } = mandate.change.target;
  const what = inWords(mandate.change.target);
  const cluster = clusters.of(context);
  const { to } = rolloutEnds(mandate);
  const generation = await generationOf(cluster, mandate);
  const rollouts = new Map<string, Rollout>();
  let degradedSince: number | undefined;
  const unseen = progress.standstill('unseen');
  const text = await followUntil(
    progress,
    cluster,
    [intoOne(rollouts, rolloutsPath(namespace), name)],
    async () => {
      const rollout = rollouts.get(name);
      if (rollout?.metadata?.uid !== uid) throw stale(`${what} was deleted while it went back.`);
      const { status = {}, spec } = rollout;
      const wanted = spec?.replicas ?? 1;
      const ready = Math.min(status.updatedReplicas ?? 0, status.availableReplicas ?? 0);
      if (Number(status.workloadObservedGeneration ?? 0) < generation) {
        progress.report('Argo Rollouts has not seen the template yet', 0, wanted);
        if (unseen.ms() < seenWithinMs) return undefined;
        throw ApplicationFailure.nonRetryable(
          `${what} cannot finish: Argo Rollouts has not seen the template within ${seenWithinMs / 1000} s: see that its controller runs, and try again.`,
          failureTypes.rolloutBlocked,
        );
      }
      if (await patchNext(cluster, rollout, mandate)) return undefined;
      const phase = `${status.phase ?? 'no phase'}${status.message ? `, ${status.message}` : ''}`;
      progress.report(`${ready} of ${wanted} pods are of the template (${phase})`, ready, wanted);
      if (!to.promoted) return `as before: ${phase}`;
      if (isPromoted(rollout) && status.phase === 'Healthy') {
        return `all ${wanted} pods are of the template, and no step is left`;
      }
      degradedSince = status.phase === 'Degraded' ? (degradedSince ?? Date.now()) : undefined;
      if (degradedSince !== undefined && Date.now() - degradedSince >= degradedMustLastMs) {
        throw ApplicationFailure.nonRetryable(
          `${what} cannot finish: ${(status.message ?? 'it is degraded').replace(/\.$/, '')}.`,
          failureTypes.rolloutBlocked,
        );
      }
      return undefined;
    },
  );
  return { changed: true, text: `${what}: ${text}.` };
}

/**
 * Generation of the Deployment with the template that is to be followed.
 * @throws PlanStale where it has another one.
 */
async function generationOf(cluster: Cluster, mandate: RolloutMandate): Promise<number> {
  const { target } = mandate.change;
  const { spec } = await readTarget<Rollout>(cluster, target);
  const workload = spec?.workloadRef?.name ?? '';
  const deployment = await cluster.find<Deployment>(deploymentPath(target.namespace, workload));
  if (templateDigest(deployment?.spec?.template) !== rolloutEnds(mandate).to.template) {
    throw stale(
      `Deployment ${workload} in ${target.namespace}, which ${inWords(target)} follows, was changed meanwhile: find out by whom before you start again.`,
    );
  }
  return deployment?.metadata?.generation ?? 0;
}

interface Patch {
  subresource: '' | '/status';
  operation: JsonPatchOperation;
}

/** Patches what keeps the Rollout from where it is to be; false where that is nothing. */
async function patchNext(
  cluster: Cluster,
  rollout: Rollout,
  mandate: RolloutMandate,
): Promise<boolean> {
  const patch = patchFor(rollout, mandate);
  if (!patch) return false;
  const { namespace, name, uid } = mandate.change.target;
  try {
    await cluster.patch(`${objectPath('rollout', namespace, name)}${patch.subresource}`, [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'test', path: '/metadata/resourceVersion', value: rollout.metadata?.resourceVersion },
      patch.operation,
    ]);
  } catch (error) {
    // A `test` failed, so it changed since it was read: the watch brings what it is now.
    if (!isRace(error)) throw error;
  }
  return true;
}

function patchFor(rollout: Rollout, mandate: RolloutMandate): Patch | undefined {
  const { spec, status } = rollout;
  const { from, to } = rolloutEnds(mandate);
  const isPaused = spec?.paused === true;
  const inStatus = (field: 'promoteFull' | 'abort'): Patch => ({
    subresource: '/status',
    operation: { op: 'add', path: `/status/${field}`, value: true },
  });
  if (isPaused !== to.paused) {
    if (isPaused !== from.paused) {
      throw stale(`Somebody has paused ${inWords(mandate.change.target)} while it went back.`);
    }
    return { subresource: '', operation: { op: 'add', path: '/spec/paused', value: to.paused } };
  }
  if (isPromoted(rollout)) return undefined;
  if (to.aborted) return status?.abort ? undefined : inStatus('abort');
  return to.promoted && !status?.promoteFull ? inStatus('promoteFull') : undefined;
}
