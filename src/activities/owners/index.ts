/** Activities on owners, under the names that follow `owners.` in the contract. */
import type { Target } from '../../contract/plan.ts';
import { planning, type PlanningParts } from '../planning.ts';
import { holdOwner } from './hold-owner.ts';
import type { OwnerMandate } from './policy.ts';
import { releaseOwner } from './release-owner.ts';
import { lookAtHold, remindOfHold } from './remind-of-hold.ts';

export function ownersActivities(parts: PlanningParts) {
  const {
    clusters,
    authority,
    settings: { settings },
  } = parts;
  return {
    planRelease: planning(parts, 'release'),
    hold: (mandate: OwnerMandate) => holdOwner(clusters, mandate),
    release: (mandate: OwnerMandate) => releaseOwner(clusters, mandate),
    lookAtHold: (owner: Target) => lookAtHold(clusters, settings, owner),
    remindOfHold: (owner: Target) => remindOfHold(clusters, settings, authority, owner),
  };
}
export type OwnersActivities = ReturnType<typeof ownersActivities>;
