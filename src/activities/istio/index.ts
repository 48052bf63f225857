/** Activities on Istio, under the names that follow `istio.` in the contract. */
import type { Clusters } from '../kubernetes/api.ts';
import type { RoutesMandate, RuleDeletionMandate } from '../kubernetes/canary/canary-change.ts';
import { shiftTraffic } from '../kubernetes/canary/shift-traffic.ts';
import { deleteDestinationRule } from './delete-destination-rule.ts';

export function istioActivities(clusters: Clusters) {
  return {
    shiftTraffic: (mandate: RoutesMandate) => shiftTraffic(clusters, mandate),
    deleteDestinationRule: (mandate: RuleDeletionMandate) =>
      deleteDestinationRule(clusters, mandate),
  };
}
export type IstioActivities = ReturnType<typeof istioActivities>;
