/** Who else changes what belongs to a canary. */
import { abortInWords } from '../../argo-rollouts/plan-abort.ts';
import { type Rollout, rolloutsPath, setsWeightsOf } from '../../argo-rollouts/rollout.ts';
import { refused } from '../../failures.ts';
import type { DestinationRule } from '../../istio/destination-rule.ts';
import { findOwners, type Owners } from '../../owners/find-owners.ts';
import type { OwnerLookup } from '../../owners/lookup.ts';
import type { Autoscaler } from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import type { KubernetesObject } from '../objects.ts';
import type { Router } from './mesh.ts';

/** What a canary consists of, as it was read. */
export interface CanaryParts {
  /** Those that send something to it. */
  routers: readonly Router[];
  deployments: readonly Deployment[];
  rules: readonly DestinationRule[];
  autoscalers: ReadonlyMap<string, Autoscaler>;
}

export interface CanaryOwners extends Pick<Owners, 'warnings' | 'changes' | 'targets'> {
  /** The Rollout whose controller sets the weights. */
  rollout?: Rollout;
  /** Whether an object is somebody else's to delete. */
  isOwned: (object: KubernetesObject) => boolean;
}

/**
 * Finds who would put back what the rollback of a canary changes: GitOps and Flagger, whom the plan
 * holds, autoscalers, and Argo Rollouts.
 * @throws Refused where one of them cannot be held.
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
  const names = routers.map(({ object }) => object.metadata?.name ?? '');
  const rollouts = await lookup.list<Rollout>(rolloutsPath(namespace));
  const rollout = rollouts.find((one) => setsWeightsOf(one, names));
  // The manifests stay as they are where it is told to abort, so nobody else needs to be held.
  if (rollout) {
    return { rollout, changes: [], targets: [], warnings: [abortInWords(rollout)], isOwned: all };
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

function all(): boolean {
  return true;
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
