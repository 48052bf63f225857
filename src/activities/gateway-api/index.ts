/** Activities on the Gateway API, under the names that follow `gatewayApi.` in the contract. */
import type { Clusters } from '../kubernetes/api.ts';
import type { RoutesMandate } from '../kubernetes/canary/canary-change.ts';
import { shiftTraffic } from '../kubernetes/canary/shift-traffic.ts';

export function gatewayApiActivities(clusters: Clusters) {
  return {
    shiftTraffic: (mandate: RoutesMandate) => shiftTraffic(clusters, mandate),
  };
}
export type GatewayApiActivities = ReturnType<typeof gatewayApiActivities>;
