/** Who else changes what belongs to a canary. */
import { refused } from '../../failures.ts';
import type { DestinationRule } from '../../istio/destination-rule.ts';
import type { Autoscaler } from '../deployment/replicas.ts';
import { managerWarnings } from '../managers.ts';
import { kindAndName, type KubernetesObject } from '../objects.ts';
import { referring } from '../owners.ts';
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
 * Finds who would put back what a canary's rollback changes: Flagger, Argo Rollouts, an autoscaler,
 * and what applies manifests.
 * @throws Refused where Argo Rollouts sets the weights: it has a command of its own.
 */
export async function findCanaryOwners(
  { cluster, namespace }: Pick<Mesh, 'cluster' | 'namespace'>,
  service: string,
  autoscalers: ReadonlyMap<string, Autoscaler>,
  routers: readonly Router[],
  deployments: readonly Deployment[],
  rules: readonly DestinationRule[],
): Promise<CanaryOwners> {
  const warnings: string[] = [];
  const [canaries, rollouts] = await Promise.all([
    list<FlaggerCanary>('/apis/flagger.app/v1beta1', 'canaries'),
    list<Rollout>('/apis/argoproj.io/v1alpha1', 'rollouts'),
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
    return metadata?.name === service || named === service || names.includes(target);
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
  const objects = [
    ...routers.map(({ kind, object }) => ({ kind, object })),
    ...deployments.map((object) => ({ kind: 'deployment', object }) as const),
    ...rules.map((object) => ({ kind: 'destinationrule', object }) as const),
  ];
  for (const { kind, object } of objects) {
    warnings.push(...managerWarnings(object, kindAndName(kind, object)));
  }
  return {
    warnings,
    isOwned: ({ metadata }) =>
      metadata?.ownerReferences?.some(({ controller }) => controller) === true ||
      canaries.some(({ spec }) => spec?.targetRef?.name === metadata?.name),
  };

  function list<T>(api: string, plural: string): Promise<T[]> {
    return referring<T>(cluster, `${api}/namespaces/${namespace}/${plural}`, warnings);
  }
}
