import type { Change } from '../../contract/plan.ts';

/**
 * Changes that hold owners, of several targets, each owner once: before it those that would put it
 * back, as within each of the lists. One that is held on its own account for any of the targets is not
 * let go with another.
 */
export function mergeOwners(lists: readonly (readonly Change[])[]): Change[] {
  const merged = new Map<string, Change>();
  for (const change of lists.flat()) {
    const known = merged.get(change.id);
    if (!known || known.after.through === change.after.through) {
      merged.set(change.id, known ?? change);
      continue;
    }
    const { through: _, ...after } = change.after;
    merged.set(change.id, { ...change, after });
  }
  return [...merged.values()];
}
