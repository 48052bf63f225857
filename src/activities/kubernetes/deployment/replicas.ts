/** How many pods a Deployment is to have, as a change of a plan. */
import type { V2HorizontalPodAutoscaler } from '@kubernetes/client-node';
import type { Change, Mandate } from '../../../contract/plan.ts';
import { KubernetesError, type Cluster, type ListOf, type Wire } from '../api.ts';
import { readAnnotation } from '../objects.ts';
import type { Deployment } from './revisions.ts';

export type ReplicasReference = {
  replicas: number;
  /** Whether an autoscaler chooses the number, so that any other than none counts as the planned one. */
  autoscaled: boolean;
};

export interface ReplicasChange extends Change<
  ReplicasReference,
  ReplicasReference & {
    /** Seconds to wait before. */
    soakSeconds?: number;
  }
> {
  kind: 'deployment/replicas';
}
export type ReplicasMandate = Mandate<ReplicasChange>;

/** The numbers that a mandate comes from and goes to. */
export function replicaEnds({ change, undo }: ReplicasMandate): { from: number; to: number } {
  const { before, after } = change;
  return undo
    ? { from: after.replicas, to: before.replicas }
    : { from: before.replicas, to: after.replicas };
}

/**
 * Kept on a Deployment that a run has scaled to zero, until a run scales it up again: beside the mark of
 * the last run that changed it, since another one may change something else of it meanwhile.
 */
export const scaledDownAnnotation = 'rollback-workflows/scaled-down';

/** Value of that annotation. */
export interface ScaledDown {
  /** How many it had. */
  replicas: number;
  /** Workflow id. */
  run: string;
  /** Notes of earlier versions do not say this and the next. */
  firstRunId?: string;
  /** Id of the run's change that did it, or did it by being taken back. */
  change?: string;
}

/** How a run has scaled the Deployment to zero; undefined where none did. */
export function scaledDown(deployment: Deployment): ScaledDown | undefined {
  return readAnnotation<ScaledDown>(deployment, scaledDownAnnotation);
}

/** How many replicas a Deployment had before it was scaled to zero by a run; undefined for none. */
export function replicasBefore(deployment: Deployment): number | undefined {
  return scaledDown(deployment)?.replicas;
}

export function replicasOf({ spec }: Deployment): number {
  return spec?.replicas ?? 1;
}

export interface Autoscaler {
  name: string;
  min: number;
  max: number;
  /** What made it, such as a ScaledObject of KEDA, which starts pods again by itself. */
  madeBy: string | undefined;
}

/** The HorizontalPodAutoscalers of a namespace by the Deployment that they scale; none where they may not be listed. */
export async function readAutoscalers(
  cluster: Cluster,
  namespace: string,
): Promise<Map<string, Autoscaler>> {
  const path = `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`;
  try {
    const { items } = await cluster.get<ListOf<Wire<V2HorizontalPodAutoscaler>>>(path);
    return byDeployment(items);
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 403) return new Map();
    throw error;
  }
}

/** HorizontalPodAutoscalers by the Deployment that they scale. */
export function byDeployment(
  autoscalers: readonly Wire<V2HorizontalPodAutoscaler>[],
): Map<string, Autoscaler> {
  const ofDeployments = autoscalers.filter(
    ({ spec }) => spec?.scaleTargetRef.kind === 'Deployment',
  );
  return new Map(
    ofDeployments.map(({ metadata, spec }) => [
      spec?.scaleTargetRef.name ?? '',
      {
        name: metadata?.name ?? '',
        min: spec?.minReplicas ?? 1,
        max: spec?.maxReplicas ?? Infinity,
        madeBy: metadata?.ownerReferences?.find(({ controller }) => controller)?.kind,
      },
    ]),
  );
}
