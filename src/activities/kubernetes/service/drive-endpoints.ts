import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import type { Progress } from '../../progress.ts';
import type { Clusters } from '../api.ts';
import { followUntil, into } from '../follow-until.ts';
import { podsPath, type Pod } from '../pods.ts';
import { endpointsIn, type EndpointSlice, endpointSlicesPath, slicesOf } from './endpoints.ts';
import { selectorEnds, type SelectorMandate, stopsTraffic } from './service.ts';

/** The endpoint controller needs less than a second; pods that are ready have endpoints at once. */
const patienceMs = 30_000;

/**
 * Waits until a Service's EndpointSlices have followed its selector, by watch: every endpoint is a pod
 * that the selector matches, and at least one is ready, but where traffic was to be stopped.
 * @throws RolloutBlocked where that takes longer than 30 s.
 */
export async function driveEndpoints(
  clusters: Clusters,
  mandate: SelectorMandate,
  progress: Progress,
): Promise<Effect> {
  const { context, namespace, name } = mandate.change.target;
  const cluster = clusters.of(context);
  const { to } = selectorEnds(mandate);
  const stops = stopsTraffic(mandate);
  const slices = new Map<string, EndpointSlice>();
  const pods = new Map<string, Pod>();
  const behind = progress.standstill('endpoints');
  return followUntil(
    progress,
    cluster,
    [
      into(slices, endpointSlicesPath(namespace), slicesOf(name)),
      into(pods, podsPath(namespace), { labelSelector: to }),
    ],
    () => {
      const { ready, notReady } = endpointsIn([...slices.values()]);
      const all = [...ready, ...notReady];
      const others = all.filter((endpoint) => !pods.has(endpoint));
      const served = `Service ${name} has ${ready.length} ready endpoints with ${to}, ${notReady.length} that are not ready and ${others.length} others`;
      const text = stops && all.length === 0 ? `Service ${name} has no endpoints` : served;
      progress.report(text);
      const done = others.length === 0 && (stops || ready.length > 0);
      if (done) return { changed: true, text: `${text}.` };
      if (behind.ms() < patienceMs) return undefined;
      throw ApplicationFailure.nonRetryable(
        `The endpoints of Service ${name} in ${namespace} have not followed its selector within ${patienceMs / 1000} s (${text}): look at its pods, and at the controller manager.`,
        failureTypes.rolloutBlocked,
      );
    },
  );
}
