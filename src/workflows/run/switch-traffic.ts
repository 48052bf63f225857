import { patched } from '@temporalio/workflow';
import type { SelectorMandate } from '../../activities/kubernetes/service/service.ts';
import type { Effect } from '../../contract/plan.ts';
import { kubernetes } from './proxies.ts';

/** Gives a Service its planned selector, or takes that back, and sees its endpoints follow. */
export async function switchTraffic(mandate: SelectorMandate): Promise<Effect> {
  const switched = await kubernetes.switchSelector(mandate);
  // Runs that began before this was one activity go on as two.
  if (!patched('switch-sees-endpoints-follow')) await kubernetes.driveEndpoints(mandate);
  return switched;
}
