import { isRace } from '../race.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../api.ts';
import {
  type Restored,
  restoredAnnotation,
  restoredRollback,
  standsRestoredBy,
  wasRestoredBy,
} from '../deployment/annotations.ts';
import { leftAnnotation, leftRevisions } from '../left-revisions.ts';
import { annotationPointer, inWords, objectPath } from '../objects.ts';
import { imagesOf } from '../templates.ts';
import { healthOf } from './compare-stateful-set.ts';
import {
  type StatefulSet,
  type StatefulSetHistory,
  type StatefulSetRevision,
  templateOf,
} from './revisions.ts';
import {
  readTargetHistory,
  standing,
  templateEnds,
  type TemplateMandate,
} from './stateful-set-change.ts';

/** A StatefulSet whose spec changes all the time is somebody else's work in progress. */
const attempts = 10;

/**
 * Makes the template that the planned ControllerRevision recorded the StatefulSet's own, as `kubectl
 * rollout undo` does. Takes no template from its input: only ControllerRevisions that the StatefulSet
 * owns, known by UID and template hash.
 * @throws PlanStale where the StatefulSet has neither the template of the plan's before nor its after.
 */
export async function restoreStatefulSet(
  clusters: Clusters,
  mandate: TemplateMandate,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  const { from, to } = templateEnds(mandate);
  for (let attempt = 1; ; attempt++) {
    const history = await readTargetHistory(cluster, mandate);
    const { statefulSet } = history;
    if (history.template === to.template) {
      // An earlier attempt of this very run may have restored it and not lived to say so.
      const changed = wasRestoredBy(statefulSet, mandate.run);
      return { changed, text: `Already at ${standing(history)}.` };
    }
    if (history.template !== from.template) {
      throw stale(
        `${inWords(target)} was changed after the plan was made: it stands at ${standing(history)}. Look at it, and start again if it still needs a rollback.`,
      );
    }
    await assertOnce(clusters, history, mandate);
    const revision = findRevision(history, mandate);
    try {
      const patched = await patchTo(cluster, mandate, history, revision);
      const images = imagesOf(patched.spec?.template).join(', ');
      return { changed: true, text: `Template of revision ${to.revision} restored (${images}).` };
    } catch (error) {
      // 422: a `test` failed, so the spec changed since it was read: read again and look.
      if (!isRace(error) || attempt === attempts) throw error;
    }
  }
}

/**
 * A run restores once: whoever has brought the version back since did so on purpose. And it takes back
 * only what it restored itself, and only where what it left is measured to be healthier or somebody
 * has signed that it shall: the guard has checked that.
 * @throws PlanStale
 */
async function assertOnce(
  clusters: Clusters,
  history: StatefulSetHistory,
  mandate: TemplateMandate,
): Promise<void> {
  const what = inWords(mandate.change.target);
  if (!mandate.undo) {
    if (!wasRestoredBy(history.statefulSet, mandate.run)) return;
    throw stale(
      `This run has rolled ${what} back before, and somebody has deployed ${standing(history)} again since: start a new run if it needs another rollback.`,
    );
  }
  if (!standsRestoredBy(history.statefulSet, mandate.run)) {
    throw stale(
      `${what} was not rolled back by this run, or was rolled back again since: there is nothing of its own to take back.`,
    );
  }
  const { beforeIsHealthier, text } = await healthOf(clusters, history, mandate);
  if (beforeIsHealthier || mandate.authority.abort !== undefined) return;
  throw stale(`${what} stays as it is: the version that was left is not healthier (${text}).`);
}

function findRevision(history: StatefulSetHistory, mandate: TemplateMandate): StatefulSetRevision {
  const { to } = templateEnds(mandate);
  const found = history.revisions.find(
    ({ controllerRevision, template }) =>
      controllerRevision.metadata?.uid === to.controllerRevision && template === to.template,
  );
  if (found) return found;
  const { name, namespace } = mandate.change.target;
  throw stale(
    `Revision ${to.revision} of StatefulSet ${name} in ${namespace} is no longer in its history (revisionHistoryLimit ${history.statefulSet.spec?.revisionHistoryLimit ?? 10}): nothing was changed; see rollback history statefulset/${name} -n ${namespace}.`,
  );
}

function patchTo(
  cluster: Cluster,
  { change, undo, run, authority }: TemplateMandate,
  history: StatefulSetHistory,
  revision: StatefulSetRevision,
): Promise<StatefulSet> {
  const { statefulSet, revisions } = history;
  const { kind, namespace, name, uid } = change.target;
  const noted = undo ? restoredRollback(statefulSet) : undefined;
  const note: Restored = {
    ...{ run: run.workflowId, firstRunId: run.firstRunId, at: new Date().toISOString() },
    from: { revision: change.before.revision, template: change.before.template },
    to: { revision: nextRevision(revisions, revision), template: change.after.template },
    ...(noted ? { ...noted, at: new Date().toISOString(), undone: true } : {}),
    ...(undo && authority.abort ? { decided: 'alone' } : {}),
  };
  const added = {
    [restoredAnnotation]: JSON.stringify(note),
    [leftAnnotation]: JSON.stringify(leftRevisions(statefulSet, history)),
  };
  const notes: JsonPatchOperation[] = statefulSet.metadata?.annotations
    ? Object.entries(added).map(([key, value]) => {
        return { op: 'add', path: annotationPointer(key), value };
      })
    : [{ op: 'add', path: '/metadata/annotations', value: added }];
  return cluster.patch<StatefulSet>(objectPath(kind, namespace, name), [
    // The generation counts every change of the spec and none of the status.
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/metadata/generation', value: statefulSet.metadata?.generation },
    { op: 'replace', path: '/spec/template', value: templateOf(revision.controllerRevision) },
    ...notes,
  ]);
}

/** The number that the controller gives to a revision when its template becomes the current one. */
function nextRevision(revisions: StatefulSetRevision[], wanted: StatefulSetRevision): number {
  const numbers = revisions.map((entry) =>
    entry === wanted ? entry.revision : entry.revision + 1,
  );
  return Math.max(...numbers);
}
