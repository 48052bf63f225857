/**
 * Versions of a workload. `kubectl rollout restart` makes a revision of its own of the version that was
 * there, which is nothing to go back to.
 */

/** One revision of a workload, whatever keeps it. */
export interface WorkloadRevision {
  revision: number;
  /** SHA-256 of the pod template. */
  template: string;
  /** The same of what runs, without the time of a restart. */
  version: string;
}

/** A workload's revisions, newest first. */
export interface Versions<R extends WorkloadRevision> {
  revisions: readonly R[];
  current: R | undefined;
}

/** The revision that runs, and those before it from which it was only restarted; newest first. */
export function sinceReleased<R extends WorkloadRevision>({
  revisions,
  current,
}: Versions<R>): R[] {
  if (!current) return [];
  const before = revisions.slice(revisions.indexOf(current));
  const other = before.findIndex(({ version }) => version !== current.version);
  return other === -1 ? before : before.slice(0, other);
}

/** The revisions of other versions than the one that runs, newest first. */
export function otherVersions<R extends WorkloadRevision>({
  revisions,
  current,
}: Versions<R>): R[] {
  return revisions.filter(({ version }) => version !== current?.version);
}
