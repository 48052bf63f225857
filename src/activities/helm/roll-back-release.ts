import { isRace } from '../kubernetes/race.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import type { Effect } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Cluster, Clusters } from '../kubernetes/api.ts';
import { inWords } from '../kubernetes/objects.ts';
import type { Progress } from '../progress.ts';
import { assertMayTakeBack } from './compare-releases.ts';
import { forgetUnfinished, removeLeftovers } from './finish-rollback.ts';
import { assertHelm, type HelmSettings } from './helm-process.ts';
import { isRunning, readHookJobs } from './hooks.ts';
import { parseManifest } from './manifest.ts';
import { isOf, makerOf, noteOf, notesOf, type RollbackNote, writeNote } from './notes.ts';
import { ends, leftOf, type ReleaseMandate } from './release-change.ts';
import { type Release, readRecords, ReleaseHistory, type RevisionRecord } from './releases.ts';
import { superviseHelm } from './supervise-helm.ts';

/** A release that is another one at every look is somebody else's work in progress. */
const attempts = 5;
/** Helm is started on what was read this short a time ago; a worker that slept since reads again. */
const freshMs = 2000;
const lookEveryMs = 500;

/**
 * Brings a release back to the planned revision with `helm rollback`, or takes that back. Helm makes a
 * new revision of it, so that "done" is told by its content. What an earlier attempt of this run left
 * pending is completed: the run has noted on the release what it was about, and nobody but its own
 * worker runs helm while it holds the lock.
 * @throws PlanStale where the release is neither as before nor as after the change.
 * @throws RolloutBlocked with the reason of the pod or the hook where helm cannot finish.
 */
export async function rollBackRelease(
  clusters: Clusters,
  settings: HelmSettings,
  mandate: ReleaseMandate,
  progress: Progress,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  await assertHelm(settings);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const history = await ReleaseHistory.read(cluster, target.namespace, target.name);
    const current = await assertExpected(history, mandate);
    if (current.isThere) return finish(cluster, history, current, mandate);
    if (mandate.undo) await assertMayTakeBack(cluster, history, mandate);
    if (await awaitHooks(cluster, current.release, settings, mandate, progress)) continue;
    const source = await sourceOf(history, current, mandate);
    try {
      await noteIntent(cluster, history, current, source, mandate);
    } catch (error) {
      // Helm or somebody else wrote at the same time: read again and look.
      if (isRace(error)) continue;
      throw error;
    }
    const readAt = Date.now();
    const [newest] = await readRecords(cluster, target.namespace, target.name);
    const { revision, status } = current.release;
    const isSame = newest?.revision === revision && newest.status === status;
    if (!isSame || Date.now() - readAt > freshMs) continue;
    await superviseHelm(cluster, settings, mandate, source, progress);
  }
  throw ApplicationFailure.retryable(
    `${inWords(target)} is another one at every look, or the cluster answers more slowly than within ${freshMs / 1000} s: looking again.`,
    failureTypes.unreachable,
  );
}

interface Standing {
  release: Release;
  isThere: boolean;
  /** Whether this very run has made the newest revision. */
  isOurs: boolean;
  /** What this run has noted about going this way, and about both. */
  notes: RollbackNote[];
  all: RollbackNote[];
}

/**
 * Whether the release is where the mandate comes from, or on its way, or there.
 * @throws PlanStale for anything else
 */
async function assertExpected(history: ReleaseHistory, mandate: ReleaseMandate): Promise<Standing> {
  const { target, before } = mandate.change;
  const { from, to } = ends(mandate);
  const release = await history.current();
  if (!release) {
    throw stale(
      `${inWords(target)} was uninstalled after the plan was made: nothing is left of it.`,
    );
  }
  const all = notesOf(history.records).filter((note) => isOf(note, mandate.run));
  const notes = all.filter(({ undo }) => undo === mandate.undo);
  const isOurs = makerOf(notes, release) !== undefined;
  const standing = { release, isOurs, notes, all };
  const isWanted = release.content === to.content;
  if (isWanted && isOurs) return { ...standing, isThere: release.status === 'deployed' };
  const isUntouched =
    release.revision === before.revision &&
    release.record === before.record &&
    release.status === before.status;
  if (mandate.undo) {
    if (isUntouched || (isWanted && release.status === 'deployed')) {
      return { ...standing, isThere: true };
    }
    const isUndoing = all.some((note) => note.undo && note.from === release.revision);
    if (isUndoing || makerOf(all, release)) {
      return { ...standing, isThere: false };
    }
    throw stale(
      `${inWords(target)} was not rolled back by this run, or was changed again since: there is nothing of its own to take back.`,
    );
  }
  if (isUntouched) return { ...standing, isThere: false };
  if (isWanted && release.status === 'deployed') return { ...standing, isThere: true };
  const now = `it stands at revision ${release.revision} (${release.status}, ${release.description})`;
  throw stale(
    all.length > 0
      ? `This run has rolled ${inWords(target)} back from revision ${from.revision} before, and somebody has changed it since: ${now}. Start a new run if it needs another rollback.`
      : `${inWords(target)} was changed after the plan was made: ${now}. Look at it, and start again if it still needs a rollback.`,
  );
}

/** Hooks of an operation that was interrupted run on in the cluster; answers whether it waited. */
async function awaitHooks(
  cluster: Cluster,
  { status, hooks, revision }: Release,
  { timeout }: HelmSettings,
  { change: { target } }: ReleaseMandate,
  progress: Progress,
): Promise<boolean> {
  if (!status.startsWith('pending-')) return false;
  const waiting = progress.standstill('hooks');
  for (let waited = false; ; waited = true) {
    const running = (await readHookJobs(cluster, target.namespace, hooks)).filter(isRunning);
    if (running.length === 0) return waited;
    const names = running.map(({ metadata }) => metadata?.name).join(', ');
    const text = `hook Job ${names} of revision ${revision}, which was interrupted, still runs`;
    if (waiting.ms() > timeout) {
      throw ApplicationFailure.nonRetryable(
        `${inWords(target)}: ${text} after ${timeout / 1000} s: see to it, then retry.`,
        failureTypes.rolloutBlocked,
      );
    }
    progress.report(`Waiting: ${text}`);
    await delay(lookEveryMs, undefined, { signal: progress.cancelled });
  }
}

/** The kept revision that has the wanted content. */
async function sourceOf(
  history: ReleaseHistory,
  { release, isOurs }: Standing,
  mandate: ReleaseMandate,
): Promise<Release> {
  const { to } = ends(mandate);
  const planned = await history.revision(to.revision);
  if (planned?.record === to.record && planned.content === to.content) return planned;
  // What an earlier attempt has made has the same content.
  if (isOurs) return release;
  throw stale(
    `Revision ${to.revision} of ${inWords(mandate.change.target)} is no longer kept (helm's --history-max): nothing was changed; it has ${history.inWords()}.`,
  );
}

/** Notes what helm is going to be told to do, on all that it may leave the note on. */
async function noteIntent(
  cluster: Cluster,
  history: ReleaseHistory,
  { release, notes }: Standing,
  source: Release,
  { change: { target, before }, run, undo }: ReleaseMandate,
): Promise<void> {
  const from = Math.min(release.revision, ...notes.map((note) => note.from));
  const note = { ...run, from, to: source.revision, content: source.content, undo };
  const wanted = [release.revision, source.revision, before.revision];
  await writeAll(
    cluster,
    target.namespace,
    history.records.filter(({ revision }) => wanted.includes(revision)),
    { ...note, at: new Date().toISOString() },
  );
}

async function writeAll(
  cluster: Cluster,
  namespace: string,
  records: RevisionRecord[],
  note: RollbackNote,
): Promise<void> {
  await Promise.all(records.map((record) => writeNote(cluster, namespace, record, note)));
}

/** What is left to do once helm calls it deployed; any number of times. */
async function finish(
  cluster: Cluster,
  history: ReleaseHistory,
  { release, isOurs, all, notes: [note] }: Standing,
  mandate: ReleaseMandate,
): Promise<Effect> {
  const { target, before, after } = mandate.change;
  const { to } = ends(mandate);
  const { revision, status, chart } = release;
  const as =
    release.content === to.content
      ? `with the content of revision ${to.revision} (${chart.name}-${chart.version})`
      : `${status} as before`;
  const stands = `${inWords(target)} is at revision ${revision}, ${as}`;
  if (!isOurs || !note) return { changed: false, text: `${stands}.` };
  // Helm has dropped it from what it wrote anew since; all that have it say which revision it made.
  const noted = history.records.filter((record, index) => {
    const own = noteOf(record);
    return index === 0 || (own && isOf(own, mandate.run) && own.undo === note.undo);
  });
  await writeAll(cluster, target.namespace, noted, { ...note, made: revision });
  const left = await Promise.all(
    [before, leftOf(before), after].map((one) => history.revision(one.revision)),
  );
  const gone = await removeLeftovers(
    cluster,
    target,
    new Map(left.flatMap((one) => [...parseManifest(one?.manifest ?? '', target.namespace)])),
    parseManifest(release.manifest, target.namespace),
  );
  await forgetUnfinished(cluster, history, all);
  const removed = gone.length > 0 ? `; ${gone.join(', ')} removed, which it does not have` : '';
  return { changed: true, text: `${stands}${removed}.` };
}
