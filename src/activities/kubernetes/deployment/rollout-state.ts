import { isObserved } from '../objects.ts';
import type { Deployment } from './revisions.ts';

/** How far a rollout is. */
export interface RolloutState {
  /** Whether the controller has seen the newest spec, so that its status speaks of it. */
  observed: boolean;
  complete: boolean;
  available: number;
  wanted: number;
  text: string;
}

/** Reads a rollout off the Deployment; complete under the same conditions as `kubectl rollout status`. */
export function rolloutState(deployment: Deployment): RolloutState {
  const { spec, status } = deployment;
  const wanted = spec?.replicas ?? 1;
  const updated = status?.updatedReplicas ?? 0;
  const total = status?.replicas ?? 0;
  const observed = isObserved(deployment);
  // Until all old pods are gone, `availableReplicas` counts old ones too.
  const old = Math.max(0, total - updated);
  const available = observed
    ? Math.min(updated, Math.max(0, (status?.availableReplicas ?? 0) - old))
    : 0;
  const complete =
    observed && updated >= wanted && old === 0 && (status?.availableReplicas ?? 0) >= updated;
  const text = `${available} of ${wanted} new pods available${old > 0 ? `, ${old} old ones to go` : ''}`;
  return { observed, complete, available, wanted, text };
}
