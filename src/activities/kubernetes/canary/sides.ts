/** Which pods are the canary's and which are the stable side's, and how many of each are ready. */
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import { readyPods } from '../service/endpoints.ts';
import { type Labels, selectorText } from '../service/service.ts';
import { type Mesh, selectorOf } from './mesh.ts';
import type { Destination } from './routes.ts';

export interface Sides {
  canary: readonly Destination[];
  /** Who gets the canary's traffic. */
  stable: readonly Destination[];
}

/**
 * Whether pods with these labels are the canary's. The selector that asks for more counts: a Service
 * for all versions selects the canary's pods too, and a canary that selects everything has none of
 * its own.
 */
export function isOfCanary(mesh: Mesh, sides: Sides, labels: Labels): boolean {
  const canary = closest(mesh, sides.canary, labels);
  return canary > closest(mesh, sides.stable, labels);
}

/** The number of labels that the closest destination asks for; 0 where none has these pods. */
function closest(mesh: Mesh, destinations: readonly Destination[], labels: Labels): number {
  const sizes = destinations.map((destination) => {
    const selector = Object.entries(selectorOf(mesh, destination) ?? {});
    return selector.every(([key, value]) => labels[key] === value) ? selector.length : 0;
  });
  return Math.max(0, ...sizes);
}

/** Ready pods by destination; each destination's own, in words as well. */
export interface Readiness {
  canary: number;
  /** Of the stable destination that has the fewest. */
  stable: number;
  text: string;
}

/** Counts the ready pods of both sides. */
export async function readReadiness(mesh: Mesh, sides: Sides): Promise<Readiness> {
  const count = async (destination: Destination, ofCanary: boolean) => {
    const selector = selectorText(selectorOf(mesh, destination));
    const pods = await readyPods(mesh.cluster, mesh.namespace, selector);
    return pods.filter(
      ({ metadata }) => isOfCanary(mesh, sides, metadata?.labels ?? {}) === ofCanary,
    ).length;
  };
  const [canary, stable] = await Promise.all([
    Promise.all(sides.canary.map((destination) => count(destination, true))),
    Promise.all(sides.stable.map((destination) => count(destination, false))),
  ]);
  const words = (destinations: readonly Destination[], counts: number[]) =>
    destinations.map((destination, index) => `${counts[index]} of ${destination}`);
  return {
    canary: Math.max(0, ...canary),
    stable: Math.min(...stable),
    text: `ready pods: ${[...words(sides.canary, canary), ...words(sides.stable, stable)].join(', ')}`,
  };
}

/**
 * Requests go only where a pod is ready for them.
 * @returns what people should know: that neither side has any
 * @throws RolloutBlocked where only the canary has ready pods.
 */
export async function assertStableReady(mesh: Mesh, sides: Sides): Promise<string | undefined> {
  const { canary, stable, text } = await readReadiness(mesh, sides);
  if (stable > 0) return undefined;
  if (canary === 0) return `Neither side has ready pods (${text}).`;
  throw blocked(
    `The canary stays as it is: ${sides.stable.join(' and ')} would have to serve without a ready pod (${text}). Bring the stable side up, and try again.`,
  );
}

export function blocked(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.rolloutBlocked);
}
