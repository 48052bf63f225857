import { makerOf, notesOf } from './notes.ts';
import type { Release, ReleaseHistory } from './releases.ts';

const goodStatuses = ['deployed', 'superseded'];

/** Where a release goes to. */
export type Choice =
  | { kind: 'to'; release: Release }
  /** A rollback has put there what stands there, so that going back once more would undo it. */
  | { kind: 'standing' }
  | { kind: 'none' };

/** Whether Helm ever called it done: one that failed or was interrupted is nowhere to go. */
export function isGood({ status }: Pick<Release, 'status'>): boolean {
  return goodStatuses.includes(status);
}

/**
 * What helm last called deployed, where the newest revision is pending. As `helm upgrade` takes it: the
 * newest that is still `deployed`. A rollback that failed to apply leaves none; then the newest that was.
 */
export async function lastDeployed(history: ReleaseHistory): Promise<Release | undefined> {
  const [newest, ...earlier] = history.records;
  if (!newest?.status.startsWith('pending-')) return undefined;
  const of = (wanted: string) => earlier.find(({ status }) => status === wanted);
  const record = of('deployed') ?? of('superseded');
  return record && history.revision(record.revision);
}

/**
 * The last good revision before the current one. `helm rollback` alone takes the one before,
 * whatever became of it, so that after a failed upgrade it may go to a failed one, and twice in a
 * row goes back to the bad one. Left out are revisions that have the content of the current one, and
 * those that a rollback has left.
 */
export async function lastGood(history: ReleaseHistory): Promise<Choice> {
  const [newest, ...earlier] = history.records;
  const current = newest && (await history.revision(newest.revision));
  if (!current || current.status.startsWith('uninstall')) return { kind: 'none' };
  const note = makerOf(notesOf(history.records), current);
  if (current.isRollback && !note?.undo && current.status === 'deployed') {
    return { kind: 'standing' };
  }
  let successor: Release | undefined = current;
  for (const record of earlier) {
    const release: Release | undefined = await history.revision(record.revision);
    if (!release) continue;
    const isInterrupted = current.isRollback && !note?.undo && release.content === current.content;
    const wasLeft = successor?.isRollback === true;
    const isSame = release.content === current.content && current.status === 'deployed';
    if (isGood(release) && (isInterrupted || (!wasLeft && !isSame))) return { kind: 'to', release };
    successor = release;
  }
  return { kind: 'none' };
}
