/** Who else changes what belongs to a canary. */
import type { V2HorizontalPodAutoscaler } from '@kubernetes/client-node';
import { refused } from '../../failures.ts';
import type { Wire } from '../api.ts';
import type { KubernetesObject } from '../objects.ts';
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
  routers: readonly Router[],
  deployments: readonly Deployment[],
  others: readonly KubernetesObject[],
): Promise<CanaryOwners> {
  const warnings: string[] = [];
  const [canaries, rollouts, autoscalers] = await Promise.all([
    list<FlaggerCanary>('/apis/flagger.app/v1beta1', 'canaries'),
    list<Rollout>('/apis/argoproj.io/v1alpha1', 'rollouts'),
    list<Wire<V2HorizontalPodAutoscaler>>('/apis/autoscaling/v2', 'horizontalpodautoscalers'),
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
  for (const { metadata, spec } of autoscalers) {
    if (!names.includes(spec?.scaleTargetRef.name ?? '')) continue;
    warnings.push(
      `HorizontalPodAutoscaler ${metadata?.name} scales the canary's Deployment: it leaves it alone at zero replicas, and stays when the Deployment is deleted; kubectl delete hpa ${metadata?.name} -n ${namespace} takes it away.`,
    );
  }
  const owned = [...routers.map(({ object }) => object), ...deployments, ...others];
  const tools = new Set(owned.map(toolOf).filter((tool) => tool !== undefined));
  for (const tool of tools) {
    warnings.push(
      `${tool} applies what is changed here and may put it back, the canary as well: take the canary out of its source too, and turn its syncing off until then.`,
    );
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

/** What applies an object from somewhere else; undefined where nothing says so. */
function toolOf({ metadata }: KubernetesObject): string | undefined {
  const { annotations = {}, labels = {} } = metadata ?? {};
  const application =
    annotations['argocd.argoproj.io/tracking-id']?.split(':')[0] ??
    labels['argocd.argoproj.io/instance'];
  if (application) return `Argo CD (application ${application})`;
  const flux = labels['kustomize.toolkit.fluxcd.io/name'] ?? labels['helm.toolkit.fluxcd.io/name'];
  if (flux) return `Flux (${flux})`;
  const release = annotations['meta.helm.sh/release-name'];
  return release && `Helm (release ${release})`;
}
