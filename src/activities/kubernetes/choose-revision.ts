import { refused } from '../failures.ts';
import { shellWord } from '../../contract/printable.ts';
import { rolledBackBy, standingRollbackOf } from './deployment/annotations.ts';
import { abortedOnTheWayTo, newestNotLeft } from './left-revisions.ts';
import { inWords, type KubernetesObject } from './objects.ts';
import type { Versions, WorkloadRevision } from './versions.ts';

/**
 * Chooses the revision of a workload to go back to: the one that is named; else the one that a rollback
 * has put there, or the newest of another version that none has left.
 * @throws Refused where there is none, and where a run was aborted on the way to it.
 */
export function chooseRevision<R extends WorkloadRevision>(
  kind: 'deployment' | 'statefulset',
  workload: KubernetesObject,
  versions: Versions<R>,
  toRevision: number | undefined,
): R {
  const { name = '', namespace = '' } = workload.metadata ?? {};
  const what = inWords({ kind, namespace, name });
  const numbers = versions.revisions.map(({ revision }) => revision).reverse();
  const known = `known revisions: ${numbers.join(', ') || 'none'}`;
  if (toRevision !== undefined) {
    const found = versions.revisions.find(({ revision }) => revision === toRevision);
    if (found) return found;
    throw refused(
      `${what} has no revision ${toRevision} (${known}): see rollback history ${kind}/${name} -n ${namespace}.`,
    );
  }
  // Going back twice must not bring the bad version back, as kubectl's "previous revision" would.
  if (versions.current && standingRollbackOf(workload, versions)) return versions.current;
  const previous = newestNotLeft(workload, versions);
  const aborted = previous && abortedOnTheWayTo(workload, versions, previous);
  if (aborted) {
    throw refused(
      `${what} went back to revision ${aborted.revision} with ${rolledBackBy(aborted)}, which was aborted at ${aborted.at}: whether the revision was wrong or the moment, only you know. Name it, with rollback ${kind} ${shellWord(name)} -n ${shellWord(namespace)} --to-revision N (${known}).`,
    );
  }
  if (previous) return previous;
  const ofOne = numbers.length > 1 ? ', all of one version' : '';
  throw refused(
    `${what} has no earlier revision to go back to (${known}${ofOne}): deploy a good version, or raise revisionHistoryLimit for the next time.`,
  );
}
