/**
 * Revisions that rollbacks have left: each was bad enough for somebody to leave it, so that none is gone
 * back to unawares. The note of the last rollback says which one that left; those of the rollbacks before
 * it are kept beside it, written in the same patch. A version that is deployed anew, or gone back to, has
 * another number from then on, and was not left as that.
 */
import { type Restored, restoredRollback, rolledBackBy } from './deployment/annotations.ts';
import { type KubernetesObject, readAnnotation } from './objects.ts';
import { otherVersions, type Versions, type WorkloadRevision } from './versions.ts';

export const leftAnnotation = 'rollback-workflows/left';

/** A revision that was left, its template by digest. */
export interface LeftRevision {
  revision: number;
  template: string;
  /** Who left it, as in the note of a rollback. */
  run: string;
  /** ISO 8601. */
  at: string;
  /** As in the note. */
  decided?: Restored['decided'];
}

/** What rollbacks of the workload have left, as far as it is still in its history; the latest first. */
export function leftRevisions(
  workload: KubernetesObject,
  { revisions }: Pick<Versions<WorkloadRevision>, 'revisions'>,
): LeftRevision[] {
  const last = restoredRollback(workload);
  const earlier = readAnnotation<unknown>(workload, leftAnnotation);
  const all = [
    ...(last ? leftBy(last) : []),
    ...(Array.isArray(earlier) ? (earlier as LeftRevision[]) : []),
  ];
  return all.filter((left) =>
    revisions.some(
      ({ revision, template }) => revision === left.revision && template === left.template,
    ),
  );
}

/** One that was taken back has left what it went to. */
function leftBy({ from, to, run, at, undone, decided }: Restored): LeftRevision[] {
  const { revision, template } = undone ? to : from;
  return revision === null
    ? []
    : [{ revision, template, run, at, ...(decided ? { decided } : {}) }];
}

/** How a revision was left, and not deployed anew since; a restart makes no other version of it. */
function leftAs<R extends WorkloadRevision>(
  workload: KubernetesObject,
  versions: Versions<R>,
  { revision, version }: R,
): LeftRevision | undefined {
  return leftRevisions(workload, versions).find((left) => {
    const found = versions.revisions.find((entry) => entry.revision === left.revision);
    return found?.version === version && revision <= left.revision;
  });
}

/**
 * Where a workload goes back to by itself: the newest revision of another version that no rollback has
 * left for being bad; where each was, the newest, since even that may be better than what runs.
 */
export function newestNotLeft<R extends WorkloadRevision>(
  workload: KubernetesObject,
  versions: Versions<R>,
): R | undefined {
  const others = otherVersions(versions);
  const wasBad = (entry: R) => {
    const left = leftAs(workload, versions, entry);
    return left !== undefined && left.decided === undefined;
  };
  return others.find((entry) => !wasBad(entry)) ?? others[0];
}

/**
 * Who was aborted on the way to the revision that would be gone back to, where that was all they did: only
 * a person knows whether it was the revision that was wrong, or the moment.
 */
export function abortedOnTheWayTo<R extends WorkloadRevision>(
  workload: KubernetesObject,
  versions: Versions<R>,
  wanted: R,
): LeftRevision | undefined {
  const left = leftAs(workload, versions, wanted);
  return left?.decided === 'alone' ? left : undefined;
}

/** Those that were passed over for the one that was chosen, in words. */
export function passedOver<R extends WorkloadRevision>(
  workload: KubernetesObject,
  versions: Versions<R>,
  wanted: R,
): string[] {
  const others = otherVersions(versions);
  const found = new Map<number, string>();
  for (const entry of others.slice(0, Math.max(0, others.indexOf(wanted)))) {
    const left = leftAs(workload, versions, entry);
    if (!left || found.has(left.revision)) continue;
    found.set(
      left.revision,
      `Revision ${left.revision} is passed over, since ${rolledBackBy(left)} left it at ${left.at}: name it to go there all the same.`,
    );
  }
  return [...found.values()];
}

/** That the revision that is gone back to was left before, in words. */
export function wasLeft<R extends WorkloadRevision>(
  workload: KubernetesObject,
  versions: Versions<R>,
  wanted: R,
): string[] {
  const left = leftAs(workload, versions, wanted);
  if (!left || wanted === versions.current) return [];
  return [
    `Revision ${wanted.revision} was left by ${rolledBackBy(left)} at ${left.at}: make sure that it is not what was bad then.`,
  ];
}
