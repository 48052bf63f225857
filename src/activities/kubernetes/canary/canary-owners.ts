/** Who else changes what belongs to a canary. */
import { rolloutsPath } from '../../argo-rollouts/rollout.ts';
import { refused } from '../../failures.ts';
import { canariesPath } from '../../flagger/canary.ts';
import type { Autoscaler } from '../deployment/replicas.ts';
import type { OwnerLookup } from '../../owners/lookup.ts';
import type { KubernetesObject } from '../objects.ts';
import type { Deployment } from '../deployment/revisions.ts';
import type { Mesh, Router } from './mesh.ts';

interface FlaggerCanary {
  metadata?: { name?: string };
  spec?: { targetRef?: { name?: string }; service?: { name?: string } };
}

interface Rollout {
  metadata?: { name?: string };
  spec?: {
    strategy?: {
      canary?: {
        canaryService?: string;
        trafficRouting?: { istio?: { virtualService?: Named; virtualServices?: Named[] } };
      };
    };
  };
}
type Named = { name?: string };

export interface CanaryOwners {
  warnings: string[];
  /** Whether the object is its owner's to delete. */
  isOwned: (object: KubernetesObject) => boolean;
}

/**
 * Finds who sets the weights of a canary or scales it: Flagger, Argo Rollouts, an autoscaler.
 * @throws Refused where Argo Rollouts sets the weights: it has a command of its own.
 */
export async function findCanaryOwners(
  lookup: OwnerLookup,
  { namespace }: Pick<Mesh, 'namespace'>,
  service: string,
  autoscalers: ReadonlyMap<string, Autoscaler>,
  routers: readonly Router[],
  deployments: readonly Deployment[],
): Promise<CanaryOwners> {
  const warnings: string[] = [];
  const [canaries, rollouts] = await Promise.all([
    lookup.list<FlaggerCanary>(canariesPath(namespace)),
    lookup.list<Rollout>(rolloutsPath(namespace)),
  ]);
  const names = deployments.map(({ metadata }) => metadata?.name ?? '');
  const virtualServices = routers.map(({ object }) => object.metadata?.name ?? '');

  const rollout = rollouts.find(({ spec }) => {
    const { trafficRouting: { istio } = {} } = spec?.strategy?.canary ?? {};
    const named = [istio?.virtualService, ...(istio?.virtualServices ?? [])];
    return named.some((one) => one?.name !== undefined && virtualServices.includes(one.name));
  });
  if (rollout) {
    const name = rollout.metadata?.name ?? '';
    throw refused(
      `Argo Rollouts sets the weights of ${virtualServices.join(', ')} (rollout ${name}) and would set them again: abort it there, with kubectl argo rollouts abort ${name} -n ${namespace}.`,
    );
  }
  const watching = canaries.find(({ metadata, spec }) => {
    const target = spec?.targetRef?.name ?? '';
    const named = spec?.service?.name ?? target;
    // One that watches the canary's Deployment is held.
    const isHeld = names.includes(target);
    return !isHeld && (metadata?.name === service || named === service);
  });
  if (watching) {
    const name = watching.metadata?.name ?? '';
    warnings.push(
      `Flagger sets these weights (canary ${name}) and sends traffic to the canary again while its analysis goes on, which takes back what this run does: have it skip this release by rolling back Deployment ${watching.spec?.targetRef?.name}, the one that it watches. Nothing that is Flagger's is deleted here.`,
    );
  }
  for (const name of names) {
    const autoscaler = autoscalers.get(name);
    if (!autoscaler) continue;
    warnings.push(
      autoscaler.madeBy === undefined
        ? `HorizontalPodAutoscaler ${autoscaler.name} rests while Deployment ${name} has no replicas, and stays when the Deployment is deleted.`
        : `A ${autoscaler.madeBy} scales Deployment ${name} and may start its pods again: pause it, and delete it with the Deployment.`,
    );
  }
  return {
    warnings,
    isOwned: ({ metadata }) =>
      metadata?.ownerReferences?.some(({ controller }) => controller) === true ||
      canaries.some(({ spec }) => spec?.targetRef?.name === metadata?.name),
  };
}
