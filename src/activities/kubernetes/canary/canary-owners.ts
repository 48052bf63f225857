/** Who else changes what belongs to a canary. */
import { type Rollout, rolloutsPath } from '../../argo-rollouts/rollout.ts';
import { refused } from '../../failures.ts';
import type { DestinationRule } from '../../istio/destination-rule.ts';
import { findOwners, type Owners } from '../../owners/find-owners.ts';
import type { OwnerLookup } from '../../owners/lookup.ts';
import type { Autoscaler } from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import type { KubernetesObject } from '../objects.ts';
import type { Router } from './mesh.ts';

interface Named {
  name?: string;
}

interface TrafficRouting {
  trafficRouting?: { istio?: { virtualService?: Named; virtualServices?: Named[] } };
}

/** What a canary consists of, as it was read. */
export interface CanaryParts {
  /** Those that send something to it. */
  routers: readonly Router[];
  deployments: readonly Deployment[];
  rules: readonly DestinationRule[];
  autoscalers: ReadonlyMap<string, Autoscaler>;
}

export interface CanaryOwners extends Pick<Owners, 'warnings' | 'changes' | 'targets'> {
  /** Whether an object is somebody else's to delete. */
  isOwned: (object: KubernetesObject) => boolean;
}

/**
 * Finds who would put back what the rollback of a canary changes: GitOps and Flagger, whom the plan
 * holds, and autoscalers.
 * @throws Refused where Argo Rollouts sets the weights: it has a command of its own.
 */
export async function findCanaryOwners(
  lookup: OwnerLookup,
  namespace: string,
  { routers, deployments, rules, autoscalers }: CanaryParts,
): Promise<CanaryOwners> {
  // Items of a list of Deployments do not say what they are.
  const whole = deployments.map((deployment) => ({
    ...{ apiVersion: 'apps/v1', kind: 'Deployment' },
    ...deployment,
  }));
  const virtualServices = routers.map(({ object }) => object.metadata?.name ?? '');
  const rollouts = await lookup.list<Rollout>(rolloutsPath(namespace));
  const rollout = rollouts.find((one) => setsWeightsOf(one, virtualServices))?.metadata?.name;
  if (rollout !== undefined) {
    throw refused(
      `Argo Rollouts sets the weights of ${virtualServices.join(', ')} (rollout ${rollout}) and would set them again: abort it there, with kubectl argo rollouts abort ${rollout} -n ${namespace}.`,
    );
  }
  const owners = await findOwners(
    lookup,
    ...routers.map(({ object }) => object),
    ...whole,
    ...rules,
  );
  if (owners.refusal !== undefined) throw refused(owners.refusal);
  const watched = owners.canary?.spec?.targetRef?.name;
  return {
    ...owners,
    warnings: [
      ...owners.warnings,
      ...deployments.flatMap(({ metadata }) => scalerWarnings(metadata?.name ?? '', autoscalers)),
    ],
    isOwned: ({ metadata }) =>
      metadata?.ownerReferences?.some(({ controller }) => controller) === true ||
      (watched !== undefined && metadata?.name === watched),
  };
}

function setsWeightsOf({ spec }: Rollout, virtualServices: readonly string[]): boolean {
  const { trafficRouting: { istio } = {} } = (spec?.strategy?.canary ?? {}) as TrafficRouting;
  const named = [istio?.virtualService, ...(istio?.virtualServices ?? [])];
  return named.some((one) => virtualServices.includes(one?.name ?? ''));
}

function scalerWarnings(name: string, autoscalers: ReadonlyMap<string, Autoscaler>): string[] {
  const autoscaler = autoscalers.get(name);
  if (!autoscaler) return [];
  return [
    autoscaler.madeBy === undefined
      ? `HorizontalPodAutoscaler ${autoscaler.name} rests while Deployment ${name} has no replicas, and stays when the Deployment is deleted.`
      : `A ${autoscaler.madeBy} scales Deployment ${name} and may start its pods again: pause it, and delete it with the Deployment.`,
  ];
}
