import { refused } from '../failures.ts';
import { standingRollbackOf } from './deployment/annotations.ts';
import { newestNotLeft } from './left-revisions.ts';
import { inWords, type KubernetesObject } from './objects.ts';
import type { Versions, WorkloadRevision } from './versions.ts';

/**
 * Chooses the revision of a workload to go back to: the one that is named; else the one that a rollback
 * has put there, or the newest of another version that none has left.
 * @throws Refused where there is none.
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
  if (previous) return previous;
  const ofOne = numbers.length > 1 ? ', all of one version' : '';
  throw refused(
    `${what} has no earlier revision to go back to (${known}${ofOne}): deploy a good version, or raise revisionHistoryLimit for the next time.`,
  );
}
