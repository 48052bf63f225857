import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Cluster, Clusters } from '../api.ts';
import { markOperations } from '../change-object.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { repeatOnRace } from '../race.ts';
import { changesBy, objectPath, readTarget } from '../objects.ts';
import { PodCommandFailed } from '../pod-command-failed.ts';
import { archivePrefix, Archives, completeOf, vouchesFor } from './archives.ts';
import type { StatefulSet } from './revisions.ts';
import type { StateMandate } from './stateful-set-change.ts';

/**
 * Puts the state of one pod back from the planned archive, or, as an undo, from the one that the run
 * itself made before. It is noted on the StatefulSet before anything is overwritten, and once more
 * when it is done: a run does it once, so that what was written since is never overwritten again.
 * @throws PodCommandFailed where the archive is not there, not whole, or cannot be put back.
 * @throws PlanStale for an undo that nobody has signed, and where the archive is another one now.
 */
export async function restoreState(
  clusters: Clusters,
  mandate: StateMandate,
  progress: Progress,
): Promise<Effect> {
  const { target, after } = mandate.change;
  const cluster = clusters.of(target.context);
  const statefulSet = await readTarget<StatefulSet>(cluster, target);
  const made = changesBy(statefulSet, mandate.run);
  const { begun, done, undone } = notesOf(mandate);
  if (made.includes(mandate.undo ? undone : done)) {
    return { changed: true, text: `The state of ${after.pod} was already put back by this run.` };
  }
  if (mandate.undo) assertMayUndo(mandate, made.includes(begun));
  const { namespace } = target;
  const archives = new Archives(cluster, { namespace, ...after }, after.folder, progress.cancelled);
  progress.report('Checking the archives');
  const own = await findOwn(archives, mandate);
  const archive = mandate.undo ? own : await checkPlanned(archives, mandate);
  if (archive === undefined) throw noBackup(mandate);
  await archives.count(archive);
  if (!mandate.undo) await note(cluster, mandate, begun);
  progress.report(`Restoring ${archive}`);
  await archives.extract(archive);
  await note(cluster, mandate, mandate.undo ? undone : done);
  return {
    changed: true,
    text: `State of ${after.pod} restored from ${archives.pathOf(archive)}.`,
  };
}

/**
 * Whether the run has begun to overwrite the state. To put it back throws away what was written since,
 * which nobody can measure: that is always a person's decision.
 */
export async function compareState(clusters: Clusters, mandate: StateMandate): Promise<Comparison> {
  const { target, after } = mandate.change;
  const statefulSet = await readTarget<StatefulSet>(clusters.of(target.context), target);
  if (!changesBy(statefulSet, mandate.run).includes(notesOf(mandate).begun)) {
    const text = `nothing to take back: the state of ${after.pod} was not changed`;
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const text = `the state of ${after.pod} was restored, and which one is right nobody can measure`;
  return { beforeIsHealthier: false, nothingToUndo: false, text };
}

function notesOf({ change: { id } }: StateMandate) {
  return { begun: id, done: `${id}/done`, undone: `${id}/undone` };
}

function assertMayUndo({ change, authority }: StateMandate, begun: boolean): void {
  const { pod } = change.after;
  if (!begun) {
    throw stale(`This run has not changed the state of ${pod}: there is nothing to take back.`);
  }
  if (authority.abort !== undefined) return;
  throw stale(`The state of ${pod} stays as it is: nobody has signed that it is put back.`);
}

/** The run's own archive of the pod, if it is there and still what it was when it was made. */
async function findOwn(
  archives: Archives,
  { change, run }: StateMandate,
): Promise<string | undefined> {
  if (!change.before.backedUp) return undefined;
  const file = completeOf(archivePrefix(run, change.after.pod), await archives.list());
  if (file !== undefined && vouchesFor(file, await archives.sha256(file))) return file;
  throw new PodCommandFailed(
    `The backup that this run made of ${change.after.pod} is not in ${archives.folder} any more, or is not whole; what is overwritten now could not be put back. A folder that is on no volume is lost with its pod. The state was not changed.`,
  );
}

async function checkPlanned(archives: Archives, { change }: StateMandate): Promise<string> {
  const { pod, archive, bytes, sha256 } = change.after;
  const found = await archives.find(archive);
  if (!found) {
    throw new PodCommandFailed(
      `${archives.pathOf(archive)} is not in pod ${pod} any more. A folder that is on no volume is lost with its pod. The state was not changed.`,
    );
  }
  const isSame = sha256 === null || (await archives.sha256(archive)) === sha256;
  if (isSame && found.bytes === bytes) return archive;
  throw stale(
    `${archives.pathOf(archive)} in pod ${pod} is not the archive that was approved: it was changed at ${found.changedAt}. The state was not changed.`,
  );
}

function noBackup({ change }: StateMandate): Error {
  return new PodCommandFailed(
    `The run has no backup of ${change.after.pod}, so what was overwritten cannot be put back by it.`,
  );
}

/** Notes on the StatefulSet how far the run is with this state. */
async function note(cluster: Cluster, mandate: StateMandate, id: string): Promise<void> {
  const { target } = mandate.change;
  await repeatOnRace(async () => {
    const statefulSet = await readTarget<StatefulSet>(cluster, target);
    if (changesBy(statefulSet, mandate.run).includes(id)) return;
    await cluster.patch(objectPath(target.kind, target.namespace, target.name), [
      { op: 'test', path: '/metadata/uid', value: target.uid },
      {
        op: 'test',
        path: '/metadata/resourceVersion',
        value: statefulSet.metadata?.resourceVersion,
      },
      ...markOperations(statefulSet, {
        ...{ run: mandate.run, change: { ...mandate.change, id }, undo: false },
      }),
    ]);
  });
}
