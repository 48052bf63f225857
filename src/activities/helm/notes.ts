/**
 * What runs note on a release. Helm keeps no annotation when it writes a revision's Secret again, and
 * it writes that of the deployed revision when another takes its place; of the revision that is left
 * and the one that is gone back to, only one can be that. So the note stands on both before helm
 * begins, and on the new revision afterwards.
 */
import type { RunIdentity } from '../../contract/plan.ts';
import { KubernetesError, type Cluster } from '../kubernetes/api.ts';
import {
  annotationPointer,
  type KubernetesObject,
  objectPath,
  readAnnotation,
} from '../kubernetes/objects.ts';
import type { Release, RevisionRecord } from './releases.ts';

const noteAnnotation = 'rollback-workflows/helm-rollback';

/** What a run is doing or has done to a release. */
export interface RollbackNote extends RunIdentity {
  /** The newest revision when helm was told to go back: every one that helm makes is above it. */
  from: number;
  /** The revision whose content was wanted, and that content. */
  to: number;
  content: string;
  /** Whether a run took back what it had done. */
  undo: boolean;
  /** ISO 8601. */
  at: string;
  /** The revision that helm has made of it; notes of runs that have not got there name none. */
  made?: number;
}

export function noteOf(object: KubernetesObject): RollbackNote | undefined {
  return readAnnotation<RollbackNote>(object, noteAnnotation);
}

/** All notes on a release's revisions, the latest first. */
export function notesOf(records: readonly RevisionRecord[]): RollbackNote[] {
  return records
    .map(noteOf)
    .filter((note) => note !== undefined)
    .sort((one, other) => other.at.localeCompare(one.at));
}

/**
 * The note of the run that made this revision; undefined where none is known to have made it. The same
 * content may have been put there again later, by somebody else.
 */
export function makerOf(
  notes: readonly RollbackNote[],
  release: Release,
): RollbackNote | undefined {
  return attemptsAt(notes, release).find(
    ({ made = release.revision }) => made === release.revision,
  );
}

/** Notes of what may have made this revision, whichever it has made in the end. */
export function attemptsAt(
  notes: readonly RollbackNote[],
  { revision, content, isRollback }: Release,
): RollbackNote[] {
  return notes.filter((note) => isRollback && revision > note.from && content === note.content);
}

export function isOf(note: RollbackNote, { workflowId, firstRunId }: RunIdentity): boolean {
  return note.workflowId === workflowId && note.firstRunId === firstRunId;
}

/** Writes the note on the Secret of a revision, by its UID; one that is gone needs none. */
export async function writeNote(
  cluster: Cluster,
  namespace: string,
  { metadata }: KubernetesObject,
  note: RollbackNote,
): Promise<void> {
  const value = JSON.stringify(note);
  const hasAny = metadata?.annotations !== undefined;
  try {
    await cluster.patch(objectPath('helm-release', namespace, metadata?.name ?? ''), [
      { op: 'test', path: '/metadata/uid', value: metadata?.uid },
      hasAny
        ? { op: 'add', path: annotationPointer(noteAnnotation), value }
        : { op: 'add', path: '/metadata/annotations', value: { [noteAnnotation]: value } },
    ]);
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 404) throw error;
  }
}
