import { isRace } from '../race.ts';
import type { Effect } from '../../../contract/plan.ts';
import {
  isOwnAnnotation,
  isSurged,
  keptStrategy,
  restoredAnnotation,
  restoredRollback,
  standsRestoredBy,
  wasRestoredBy,
  strategyAnnotation,
  surgeStrategy,
  type KeptStrategy,
  type Restored,
} from './annotations.ts';
import { stale } from '../../failures.ts';
import { primaryName } from '../../flagger/canary.ts';
import type { Clusters, JsonPatchOperation } from '../api.ts';
import { lastAppliedAnnotation } from '../last-applied.ts';
import { leftAnnotation, leftRevisions } from '../left-revisions.ts';
import { annotationPointer } from '../objects.ts';
import { healthOf } from './compare-revisions.ts';
import { ends, readTarget, standing, type DeploymentMandate } from './deployment-change.ts';
import {
  changeCauseAnnotation,
  deploymentPath,
  revisionAnnotation,
  type Deployment,
  type ReplicaSet,
  type Revision,
  type RevisionHistory,
} from './revisions.ts';
import { cleanTemplate, imagesOf } from '../templates.ts';

/** Annotations of a ReplicaSet that say something about itself, as kubectl skips them on undo. */
const ofTheReplicaSet = new Set([
  lastAppliedAnnotation,
  revisionAnnotation,
  'deployment.kubernetes.io/revision-history',
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  'deprecated.deployment.rollback.to',
]);

/** A Deployment whose spec changes all the time is somebody else's work in progress. */
const attempts = 10;

/**
 * Makes the template of the planned ReplicaSet the Deployment's own, in one patch with the raised
 * strategy where the plan has it, and with the resume of a paused Deployment. Takes no template
 * from its input: only ReplicaSets that the Deployment owns, known by UID and template hash.
 * @throws PlanStale where the Deployment has neither the template of the plan's before nor its after.
 */
export async function restoreTemplate(
  clusters: Clusters,
  mandate: DeploymentMandate,
): Promise<Effect> {
  const { context, namespace, name } = mandate.change.target;
  const cluster = clusters.of(context);
  const { from, to } = ends(mandate);
  for (let attempt = 1; ; attempt++) {
    const history = await readTarget(cluster, mandate);
    const paused = history.deployment.spec?.paused === true;
    if (history.template === to.template && paused === to.paused) {
      // An earlier attempt of this very run may have restored it and not lived to say so.
      const ours = wasRestoredBy(history.deployment, mandate.run);
      return { changed: ours, text: `Already at ${standing(history)}.` };
    }
    if (history.template !== from.template || paused !== from.paused) {
      throw stale(
        `Deployment ${name} in ${namespace} was changed after the plan was made: it stands at ${standing(history)}${paused ? ' and is paused' : ''}. Look at it, and start again if it still needs a rollback.`,
      );
    }
    assertOnce(history, mandate);
    const target = findReplicaSet(history, mandate);
    try {
      const patched = await cluster.patch<Deployment>(
        deploymentPath(namespace, name),
        patchTo(mandate, history, target),
      );
      return {
        changed: true,
        text: `Template of revision ${to.revision} restored (${imagesOf(patched.spec?.template).join(', ')}).`,
      };
    } catch (error) {
      // 422: a `test` failed, so the spec changed since it was read: read again and look.
      if (!isRace(error) || attempt === attempts) throw error;
    }
  }
}

/**
 * A run restores once: whoever has brought the version back since did so on purpose, and the run's
 * approvals were not about that. And it takes back only what it restored itself, and only where what
 * it left is measured to be healthier or somebody has signed that it shall: the guard has checked
 * that. The bad version is never put back for less.
 * @throws PlanStale
 */
function assertOnce(history: RevisionHistory, mandate: DeploymentMandate): void {
  const { name, namespace } = mandate.change.target;
  if (!mandate.undo) {
    if (!wasRestoredBy(history.deployment, mandate.run)) return;
    throw stale(
      `This run has rolled Deployment ${name} in ${namespace} back before, and somebody has deployed ${standing(history)} again since: start a new run if it needs another rollback.`,
    );
  }
  if (!standsRestoredBy(history.deployment, mandate.run)) {
    throw stale(
      `Deployment ${name} in ${namespace} was not rolled back by this run, or was rolled back again since: there is nothing of its own to take back.`,
    );
  }
  const { beforeIsHealthier, text } = healthOf(history, mandate);
  if (beforeIsHealthier || mandate.authority.abort !== undefined) return;
  throw stale(
    `Deployment ${name} in ${namespace} stays as it is: the version that was left is not healthier (${text}).`,
  );
}

function findReplicaSet(history: RevisionHistory, mandate: DeploymentMandate): ReplicaSet {
  const { to } = ends(mandate);
  const found = history.revisions.find(
    ({ replicaSet, template }) =>
      replicaSet.metadata?.uid === to.replicaSet && template === to.template,
  );
  if (found) return found.replicaSet;
  const { name, namespace } = mandate.change.target;
  throw stale(
    `Revision ${to.revision} of Deployment ${name} in ${namespace} is no longer in its history (revisionHistoryLimit ${history.deployment.spec?.revisionHistoryLimit ?? 10}): nothing was changed; see rollback history deployment/${name} -n ${namespace}.`,
  );
}

function patchTo(
  mandate: DeploymentMandate,
  history: RevisionHistory,
  replicaSet: ReplicaSet,
): JsonPatchOperation[] {
  const { deployment } = history;
  const { to } = ends(mandate);
  const surge = mandate.change.after.surge && !mandate.undo;
  const operations: JsonPatchOperation[] = [
    // The generation counts every change of the spec and none of the status.
    { op: 'test', path: '/metadata/uid', value: deployment.metadata?.uid },
    { op: 'test', path: '/metadata/generation', value: deployment.metadata?.generation },
    { op: 'replace', path: '/spec/template', value: cleanTemplate(replicaSet.spec?.template) },
    ...annotationChanges(
      deployment.metadata?.annotations,
      annotationsAfter(mandate, history, replicaSet, surge),
    ),
  ];
  if (surge) operations.push({ op: 'replace', path: '/spec/strategy', value: surgeStrategy });
  if ((deployment.spec?.paused === true) !== to.paused) {
    operations.push({ op: 'add', path: '/spec/paused', value: to.paused });
  }
  return operations;
}

/** One operation an annotation, so that what others write on the Deployment meanwhile stays. */
function annotationChanges(
  before: Record<string, string> | undefined,
  after: Record<string, string>,
): JsonPatchOperation[] {
  if (!before) return [{ op: 'add', path: '/metadata/annotations', value: after }];
  const changed = Object.entries(after).filter(([key, value]) => before[key] !== value);
  const gone = Object.keys(before).filter((key) => after[key] === undefined);
  return [
    ...changed.map(([key, value]) => ({ op: 'add', path: annotationPointer(key), value }) as const),
    ...gone.map((key) => ({ op: 'remove', path: annotationPointer(key) }) as const),
  ];
}

/**
 * The ReplicaSet's annotations win over the Deployment's, as with `kubectl rollout undo`; unlike
 * there, annotations that others added since (trackers, owners) stay.
 */
function annotationsAfter(
  mandate: DeploymentMandate,
  history: RevisionHistory,
  replicaSet: ReplicaSet,
  surge: boolean,
): Record<string, string> {
  const { deployment, revisions } = history;
  const annotations = { ...deployment.metadata?.annotations };
  delete annotations[changeCauseAnnotation];
  for (const [key, value] of Object.entries(replicaSet.metadata?.annotations ?? {})) {
    if (!ofTheReplicaSet.has(key) && !isOwnAnnotation(key)) annotations[key] = value;
  }
  const { before, after } = mandate.change;
  const noted = mandate.undo ? restoredRollback(deployment) : undefined;
  annotations[restoredAnnotation] = JSON.stringify(
    noted
      ? ({
          ...{ ...noted, at: new Date().toISOString(), undone: true },
          ...decidedBy(mandate),
        } satisfies Restored)
      : ({
          from: { revision: before.revision, template: before.template },
          to: { revision: nextRevision(revisions, replicaSet), template: after.template },
          run: mandate.run.workflowId,
          firstRunId: mandate.run.firstRunId,
          at: new Date().toISOString(),
        } satisfies Restored),
  );
  const left = leftRevisions(deployment, history);
  if (left.length > 0) annotations[leftAnnotation] = JSON.stringify(left);
  else delete annotations[leftAnnotation];
  if (surge) {
    // What a terminated run kept is older than the strategy that it raised; where somebody has set
    // another since, what was kept is of no use.
    const kept = isSurged(deployment) ? keptStrategy(deployment) : undefined;
    const strategy = kept?.strategy ?? deployment.spec?.strategy ?? {};
    annotations[strategyAnnotation] = JSON.stringify({
      strategy,
      run: mandate.run,
    } satisfies KeptStrategy);
  }
  return annotations;
}

/** Whether somebody has decided to take this Deployment back, and others of its plan with it. */
function decidedBy({
  change: { target },
  plan,
  authority,
}: DeploymentMandate): Pick<Restored, 'decided'> {
  if (authority.abort === undefined) return {};
  const others = plan.targets.filter(
    ({ kind, name }) =>
      kind === 'deployment' &&
      ![target.name, primaryName(target.name)].includes(name) &&
      primaryName(name) !== target.name,
  );
  return { decided: others.length > 0 ? 'together' : 'alone' };
}

/** The number that the controller gives to a ReplicaSet when its template becomes the current one. */
function nextRevision(revisions: Revision[], replicaSet: ReplicaSet): number {
  const numbers = revisions.map((entry) =>
    entry.replicaSet === replicaSet ? entry.revision : entry.revision + 1,
  );
  return Math.max(...numbers);
}
