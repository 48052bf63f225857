/** How many pods each colour is to have, before and after the traffic moves. */
import { refused } from '../../failures.ts';
import type { Change } from '../../../contract/plan.ts';
import type { DeletionChange } from '../deployment/delete-deployment.ts';
import {
  type Autoscaler,
  type ReplicasChange,
  replicasBefore,
  replicasOf,
} from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import type { Cluster } from '../api.ts';
import { targetOf } from '../objects.ts';
import { estimateSeconds, readPods } from '../pods.ts';
import { versionOf } from '../service/carriers.ts';
import type { Service } from '../service/service.ts';
import { trafficTo, whyPodsMustStay } from '../service/traffic.ts';
import { templateDigest } from '../templates.ts';
import { namesOf } from './choose-colour.ts';
import type { Colour } from './colours.ts';

/** What a plan is made from, as it was read. */
export interface Found {
  cluster: Cluster;
  namespace: string;
  service: Service;
  live: Colour;
  autoscalers: Map<string, Autoscaler>;
}

/**
 * The colour that gets the traffic: as many pods as the live one has, or as it had itself before it
 * was scaled down, within what its autoscaler allows; never fewer than it has.
 */
export function planOther(
  { cluster, live, autoscalers }: Found,
  { deployments: [deployment] }: Colour,
): { change: ReplicasChange; warnings: string[]; seconds: number } {
  if (!deployment) throw new Error('A colour that was chosen has a Deployment.');
  const name = deployment.metadata?.name ?? '';
  const autoscaler = autoscalers.get(name);
  const now = replicasOf(deployment);
  const needed = Math.max(countOf(live), now === 0 ? (replicasBefore(deployment) ?? 0) : 0, 1);
  const isRunBy = autoscaler !== undefined && now > 0;
  const wanted = isRunBy ? now : Math.max(now, within(needed, autoscaler));
  const autoscaled = autoscaler !== undefined;
  const warnings = [...stateWarnings(deployment)];
  if (isRunBy && now < needed) {
    warnings.push(
      `HorizontalPodAutoscaler ${autoscaler.name} keeps Deployment ${name} at ${now} replicas, and the live colour has ${needed}: it scales up only as the load comes. Raise its minReplicas first where that is too slow.`,
    );
  } else if (autoscaler && wanted !== now) {
    warnings.push(
      `Deployment ${name} starts with ${wanted} replicas${countOf(live) > wanted ? `, fewer than the ${countOf(live)} of the live colour` : ''}; HorizontalPodAutoscaler ${autoscaler.name} (${autoscaler.min} to ${autoscaler.max}) takes over from there.`,
    );
  }
  return {
    change: {
      ...{ id: 'other', kind: 'deployment/replicas' },
      target: targetOf('deployment', cluster, deployment),
      before: { replicas: now, autoscaled },
      after: { replicas: wanted, autoscaled },
    },
    warnings,
    seconds: wanted > now ? estimateSeconds(deployment, [], true) : 0,
  };
}

interface Wish {
  /** Milliseconds from the checks to the scaling down. */
  soakMs: number;
  isDeleted: boolean;
  /** What ran in it when its traffic was taken away: only that is deleted. */
  version?: string;
}

/**
 * The colour that is left: scaled to zero after the soak, and deleted where that was asked for. It
 * keeps its pods where somebody else needs them.
 * @throws Refused where it is to be deleted and cannot be.
 */
export async function planLeft(
  found: Found,
  { soakMs, isDeleted, version }: Wish,
): Promise<{ changes: Change[]; warnings: string[]; words: string; seconds: number }> {
  const { cluster, namespace, service, live, autoscalers } = found;
  const what = namesOf(live.deployments) || `What has ${live.selector}`;
  const stays = (why: string) => {
    if (isDeleted) throw refused(`${what} cannot be deleted: ${why}. Leave --delete out.`);
    const warning = `${what} keeps its pods: ${why}.`;
    return { changes: [], warnings: [warning], words: '', seconds: 0 };
  };
  const [deployment, ...more] = live.deployments;
  if (!deployment) return stays(`it is no Deployment`);
  if (more.length > 0) return stays(`they are several Deployments with ${live.selector}`);
  const name = deployment.metadata?.name ?? '';
  if (version !== undefined && versionOf([deployment]) !== version) {
    return stays(`Deployment ${name} was released anew since its traffic was taken away`);
  }
  const autoscaler = autoscalers.get(name);
  if (autoscaler?.madeBy) {
    return stays(
      `a ${autoscaler.madeBy} scales Deployment ${name} and would start its pods again; pause it and scale by hand`,
    );
  }
  const own = service.metadata?.name;
  const traffic = await trafficTo(cluster, namespace, readPods(cluster, deployment));
  const needed = whyPodsMustStay(
    traffic.filter((one) => one.service !== own),
    { targets: [] },
  );
  if (needed !== undefined) {
    return stays(`${needed}; switch that Service as well`);
  }
  const target = targetOf('deployment', cluster, deployment);
  const now = replicasOf(deployment);
  const autoscaled = autoscaler !== undefined;
  const soakSeconds = Math.round(soakMs / 1000);
  const scaling: ReplicasChange = {
    ...{ id: 'left', kind: 'deployment/replicas', target },
    before: { replicas: now, autoscaled },
    after: { replicas: 0, autoscaled, soakSeconds },
  };
  const deletion: DeletionChange = {
    ...{ id: 'delete', kind: 'deployment/delete', target },
    before: { template: templateDigest(deployment.spec?.template) },
    after: { template: null },
  };
  const when = soakSeconds > 0 ? ` after ${soakSeconds} s` : '';
  return {
    changes: [...(now > 0 ? [scaling] : []), ...(isDeleted ? [deletion] : [])],
    warnings: autoscaled
      ? [
          `HorizontalPodAutoscaler ${autoscaler.name} rests while Deployment ${name} has no replicas.`,
        ]
      : [],
    words: `; Deployment ${name} is ${isDeleted ? 'deleted' : 'scaled to zero'}${when}`,
    seconds: soakSeconds,
  };
}

function countOf({ deployments }: Colour): number {
  return deployments.reduce((sum, deployment) => sum + replicasOf(deployment), 0);
}

function within(count: number, autoscaler: Autoscaler | undefined): number {
  if (!autoscaler) return count;
  return Math.min(Math.max(count, autoscaler.min), autoscaler.max);
}

/** What is not as it should be in the colour that is to take over. */
function stateWarnings({ metadata, spec, status }: Deployment): string[] {
  const warnings: string[] = [];
  const name = metadata?.name;
  if (spec?.paused)
    warnings.push(`Deployment ${name} is paused, and may run more than one version.`);
  else if ((status?.updatedReplicas ?? 0) < (status?.replicas ?? 0)) {
    warnings.push(`Deployment ${name} is in the middle of a rollout, and runs two versions.`);
  }
  return warnings;
}
