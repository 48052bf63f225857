/** Activities on Argo Rollouts, under the names that follow `argoRollouts.` in the contract. */
import type { Clusters } from '../kubernetes/api.ts';
import { activityProgress } from '../progress.ts';
import { driveRollout } from './drive-rollout.ts';
import type { RolloutMandate } from './rollout-change.ts';

export function argoRolloutsActivities(clusters: Clusters) {
  return {
    driveRollout: (mandate: RolloutMandate) => driveRollout(clusters, mandate, activityProgress()),
  };
}
export type ArgoRolloutsActivities = ReturnType<typeof argoRolloutsActivities>;
