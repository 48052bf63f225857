/** In which order the changes of a plan are made by hand: as a run makes them. */
import { rolloutChangeKind } from '../../activities/argo-rollouts/plan-rollout.ts';
import type { Change } from '../../contract/plan.ts';
import { ownerChangeKinds } from '../../activities/owners/policy.ts';

/** Pods of these come up while the next command runs, so that they are waited for apart. */
export const templateKind = 'deployment/template';

/**
 * The changes in stages, each for when the one before is complete: region by region, and in each the
 * owners are held first, then one turn after the other. Within a turn, copies that serve go before what
 * they are copies of, and Rollouts last. Only templates of Deployments stand side by side in a stage.
 */
export function inStages(changes: readonly Change[]): Change[][] {
  const regions = [...new Set(changes.map(({ target }) => target.region))];
  const placed = changes
    .map((change) => ({ change, place: placeOf(change, changes, regions) }))
    .toSorted((one, other) => compare(one.place, other.place));
  const stages: Change[][] = [];
  for (const [index, { change, place }] of placed.entries()) {
    const earlier = placed[index - 1];
    const isBeside =
      change.kind === templateKind &&
      earlier?.change.kind === templateKind &&
      compare(earlier.place, place) === 0;
    if (isBeside) stages.at(-1)?.push(change);
    else stages.push([change]);
  }
  return stages;
}

type Place = readonly [region: number, turn: number, within: number];

function placeOf(
  change: Change,
  changes: readonly Change[],
  regions: (string | undefined)[],
): Place {
  const { kind, after, target } = change;
  const region = regions.indexOf(target.region);
  if (kind === ownerChangeKinds.hold) return [region, -1, 0];
  const within = kind === rolloutChangeKind ? 2 : after.copyOf === undefined ? 1 : 0;
  return [region, turnOf(change, changes), within];
}

/** What goes with a Deployment has no turn of its own; what has none at all comes after those that have. */
function turnOf({ id, after }: Change, changes: readonly Change[]): number {
  const leader = changes.find((one) => one.after.turn !== undefined && id.startsWith(`${one.id}:`));
  return Number(after.turn ?? leader?.after.turn ?? Number.MAX_SAFE_INTEGER);
}

function compare(one: Place, other: Place): number {
  const differences = one.map((number, index) => number - (other[index] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
