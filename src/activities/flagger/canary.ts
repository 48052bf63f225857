/** Flagger's Canary, and the copy of a Deployment that it sends production's traffic to. */
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { fieldPolicy, type Policy } from '../owners/policy.ts';

export interface Canary extends KubernetesObject {
  spec?: {
    suspend?: boolean;
    targetRef?: { kind?: string; name?: string };
  };
  status?: { phase?: string; canaryWeight?: number };
}

/**
 * Flagger leaves everything as it is while it is true: workloads, and also the share of the traffic
 * that a canary under analysis has (flagger, scheduler.go, advanceCanary).
 */
export const canaryPolicy: Policy = fieldPolicy(['spec', 'suspend'], true);

export function canariesPath(namespace: string): string {
  return `/apis/flagger.app/v1beta1/namespaces/${namespace}/canaries`;
}

/** The Canary that copies the object, or has made it. */
export function canaryOf(
  canaries: readonly Canary[],
  object: KubernetesObject,
): Canary | undefined {
  const { kind, metadata } = object;
  const controller = metadata?.ownerReferences?.find((owner) => owner.controller);
  return canaries.find(
    (canary) =>
      (canary.spec?.targetRef?.kind === kind && canary.spec?.targetRef?.name === metadata?.name) ||
      (controller?.kind === 'Canary' && controller.uid === canary.metadata?.uid),
  );
}

/** Name of the Deployment that serves production where Flagger watches `target`. */
export function primaryName(target: string): string {
  return `${target}-primary`;
}

/** What happens to traffic while the Canary is suspended, and after it is released, in words. */
export function suspendedInWords({ metadata, spec, status }: Canary): string {
  const target = spec?.targetRef?.name ?? '';
  const primary = primaryName(target);
  const weight = status?.canaryWeight ?? 0;
  const traffic =
    weight > 0
      ? `${weight} % of the traffic stay with ${target} and the rest with ${primary}`
      : `all traffic stays with ${primary}`;
  return `Flagger's canary ${metadata?.name} (${status?.phase ?? 'no phase'}) is suspended: ${traffic}, so both get the restored version. When it is released, Flagger analyses that version like a new one where it was promoted away from, and production serves it all the while.`;
}
