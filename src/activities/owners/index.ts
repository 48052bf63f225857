/** Activities on owners, under the names that follow `owners.` in the contract. */
import type { Authority } from '../../authority/authority.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import type { Target } from '../../contract/plan.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { planning } from '../planning.ts';
import { holdOwner } from './hold-owner.ts';
import { planRelease } from './plan-release.ts';
import type { OwnerMandate } from './policy.ts';
import { releaseOwner } from './release-owner.ts';
import { lookAtHold, remindOfHold } from './remind-of-hold.ts';

export function ownersActivities(
  clusters: Clusters,
  settings: LoadedSettings,
  authority: Authority,
) {
  return {
    planRelease: planning(authority, 'release', (input) => planRelease(clusters, settings, input)),
    hold: (mandate: OwnerMandate) => holdOwner(clusters, mandate),
    release: (mandate: OwnerMandate) => releaseOwner(clusters, mandate),
    lookAtHold: (owner: Target) => lookAtHold(clusters, settings.settings, owner),
    remindOfHold: (owner: Target) => remindOfHold(clusters, settings.settings, authority, owner),
  };
}
export type OwnersActivities = ReturnType<typeof ownersActivities>;
