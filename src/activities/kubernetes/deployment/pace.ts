/**
 * Whether all of a Deployment's pods may be brought up at once: `maxSurge: 100%` needs room for
 * twice the pods.
 */
import type { Service } from '../../../config/schema.ts';
import { resolvePercentage } from '../quantity.ts';
import type { PodTemplate } from '../templates.ts';
import type { Deployment, ReplicaSet } from './revisions.ts';
import type { Room } from './room.ts';

export interface Pace {
  /** Raise `maxSurge` to 100 % and set `maxUnavailable` to 0 for this rollout. */
  surge: boolean;
  /** Why, or why not, in words. */
  why: string;
}

const steady = (why: string): Pace => ({
  surge: false,
  why: `The strategy stays as it is: ${why}.`,
});

/** Decides the pace of a rollback of `deployment` to `template`, and takes its room. Reads only. */
export async function choosePace(
  room: Room,
  deployment: Deployment,
  template: PodTemplate,
  wanted: 'auto' | 'steady',
  service: Service | undefined,
): Promise<Pace> {
  if (wanted === 'steady') return steady('a steady pace was asked for');
  const { strategy, replicas = 1 } = deployment.spec ?? {};
  if (strategy?.type === 'Recreate') return steady('Recreate is never changed');
  if (replicas === 0) return steady('there are no replicas');
  if (resolvePercentage(strategy?.rollingUpdate?.maxSurge, replicas, 'up') >= replicas) {
    return steady('it already brings all pods up at once');
  }
  const placement = placementRule(template);
  if (placement) return steady(`${placement}, so free room is hard to tell`);

  const extra = Math.max(0, 2 * replicas - (deployment.status?.replicas ?? 0));
  const namespace = deployment.metadata?.namespace ?? '';
  const obstacle = await room.take({ namespace, template, extra, service });
  if (obstacle) return steady(obstacle);
  return {
    surge: true,
    why: `There is room for ${extra} more pods, so all come up at once (maxSurge 100%, maxUnavailable 0) and the strategy is put back afterwards.`,
  };
}

/**
 * Why the rollout to a ReplicaSet cannot even begin at the strategy's own pace: it takes no pod away before
 * a new one is ready, and no new one may be made. Undefined where it can. Reads only.
 */
export async function whyCannotBegin(
  room: Room,
  { metadata, spec, status }: Deployment,
  wanted: ReplicaSet,
): Promise<string | undefined> {
  const { strategy, replicas = 1 } = spec ?? {};
  if (strategy?.type === 'Recreate' || replicas === 0) return undefined;
  const { maxSurge, maxUnavailable } = strategy?.rollingUpdate ?? {};
  const surge = resolvePercentage(maxSurge, replicas, 'up');
  // With neither, the controller takes one pod away; with too many pods it begins with those.
  const mayGo = surge === 0 || resolvePercentage(maxUnavailable, replicas, 'down') > 0;
  const isThere = (wanted.status?.replicas ?? 0) >= replicas;
  if (mayGo || isThere || (status?.replicas ?? 0) > replicas) return undefined;
  const template = wanted.spec?.template ?? {};
  const full = await room.refusesOne(metadata?.namespace ?? '', template);
  if (full === undefined) return undefined;
  return `The rollout cannot begin: its strategy takes no pod away before a new one is ready (maxSurge ${maxSurge ?? '25%'}, maxUnavailable ${maxUnavailable ?? '25%'}), and ${full}. Raise the quota, or make room, before you start.`;
}

/** A rule of the template that decides where pods may run beyond selectors and taints. */
function placementRule(template: PodTemplate): string | undefined {
  const spec = template.spec;
  if (spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution) {
    return 'the pods have a required node affinity';
  }
  if (spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    return 'the pods have a required anti-affinity';
  }
  if (spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    return 'the pods have a required affinity';
  }
  if (spec?.topologySpreadConstraints?.some((c) => c.whenUnsatisfiable === 'DoNotSchedule')) {
    return 'the pods have a topology spread constraint';
  }
  if (spec?.containers.some(({ ports }) => ports?.some(({ hostPort }) => hostPort))) {
    return 'the pods use host ports';
  }
  if (spec?.volumes?.some((volume) => volume.persistentVolumeClaim)) {
    return 'the pods share a volume claim';
  }
  return undefined;
}
