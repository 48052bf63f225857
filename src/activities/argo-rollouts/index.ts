/** Activities on Argo Rollouts, under the names that follow `argoRollouts.` in the contract. */
import type { Clusters } from '../kubernetes/api.ts';
import { activityProgress } from '../progress.ts';
import type { AbortMandate } from './abort-change.ts';
import { abortRollout, compareRollout } from './abort-rollout.ts';
import { driveRollout } from './drive-rollout.ts';
import type { RolloutMandate } from './rollout-change.ts';

export function argoRolloutsActivities(clusters: Clusters) {
  return {
    driveRollout: (mandate: RolloutMandate) => driveRollout(clusters, mandate, activityProgress()),
    abortRollout: (mandate: AbortMandate) => abortRollout(clusters, mandate, activityProgress()),
    compareRollout: (mandate: AbortMandate) => compareRollout(clusters, mandate),
  };
}
export type ArgoRolloutsActivities = ReturnType<typeof argoRolloutsActivities>;
