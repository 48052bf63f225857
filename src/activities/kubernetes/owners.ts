/** Who else changes a Deployment, and what that means for a rollback of it. */
import type { V2HorizontalPodAutoscaler } from '@kubernetes/client-node';
import { KubernetesError, type Cluster, type ListOf, type Wire } from './api.ts';
import type { Deployment } from './deployment/revisions.ts';

export interface Owners {
  /** Said in the plan. */
  warnings: string[];
  /** Why the rollback must not be done here, with what to do instead. */
  refusal?: string;
}

interface Referring {
  metadata?: { name?: string };
  spec?: {
    targetRef?: { kind?: string; name?: string };
    workloadRef?: { kind?: string; name?: string };
  };
}

/** Finds the owners of `deployment`: Helm, Argo CD, Flux, Flagger, Argo Rollouts, an HPA, an operator. */
export async function findOwners(cluster: Cluster, deployment: Deployment): Promise<Owners> {
  const { name = '', namespace = '', labels = {}, annotations = {} } = deployment.metadata ?? {};
  const warnings: string[] = [];
  const [autoscalers, canaries, rollouts] = await Promise.all([
    referring<Wire<V2HorizontalPodAutoscaler>>(
      cluster,
      `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`,
      warnings,
    ),
    referring<Referring>(
      cluster,
      `/apis/flagger.app/v1beta1/namespaces/${namespace}/canaries`,
      warnings,
    ),
    referring<Referring>(
      cluster,
      `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/rollouts`,
      warnings,
    ),
  ]);
  const release = annotations['meta.helm.sh/release-name'];
  if (release ?? labels['app.kubernetes.io/managed-by'] === 'Helm') {
    warnings.push(
      `Helm owns this Deployment (release ${release ?? 'unknown'}): the release still records the version that is rolled back, and the next helm upgrade starts from there. Roll the release back as well, with helm rollback.`,
    );
  }
  const application =
    annotations['argocd.argoproj.io/tracking-id']?.split(':')[0] ??
    labels['argocd.argoproj.io/instance'];
  if (application) {
    warnings.push(
      `Argo CD owns this Deployment (application ${application}): with self-heal on it puts the version from git back within minutes. Turn auto-sync off first (argocd app set ${application} --sync-policy none), and revert in git.`,
    );
  }
  const flux = labels['kustomize.toolkit.fluxcd.io/name'] ?? labels['helm.toolkit.fluxcd.io/name'];
  if (flux) {
    warnings.push(
      `Flux owns this Deployment (${flux}): its next reconciliation puts the version from git back. Suspend it first (flux suspend).`,
    );
  }
  const canary = canaries.find(({ spec }) => spec?.targetRef?.name === name);
  if (canary) {
    warnings.push(
      `Flagger watches this Deployment (canary ${canary.metadata?.name}): the rollback is taken for a new release and analysed again before it gets traffic.`,
    );
  }
  for (const autoscaler of autoscalers.filter(({ spec }) => spec?.scaleTargetRef.name === name)) {
    warnings.push(
      `HorizontalPodAutoscaler ${autoscaler.metadata?.name} (${autoscaler.spec?.minReplicas ?? 1} to ${autoscaler.spec?.maxReplicas}) sets the number of replicas; it may change while the rollback runs.`,
    );
  }

  const controller = deployment.metadata?.ownerReferences?.find((owner) => owner.controller);
  if (controller?.kind === 'Canary') {
    return {
      warnings,
      refusal: `Flagger's canary ${controller.name} writes this Deployment and would undo the rollback at once: roll back the Deployment that the canary watches instead.`,
    };
  }
  if (controller) {
    warnings.push(
      `${controller.kind} ${controller.name} owns this Deployment and may put its own version back: change it there as well.`,
    );
  }
  const rollout = rollouts.find(({ spec }) => spec?.workloadRef?.name === name);
  if (rollout) {
    return {
      warnings,
      refusal: `Argo Rollouts runs the pods of this Deployment (rollout ${rollout.metadata?.name}): undo it there, with kubectl argo rollouts undo ${rollout.metadata?.name} -n ${namespace}.`,
    };
  }
  return { warnings };
}

/** Items of a kind that may be not installed; one that may not be read is told in `warnings`. */
export async function referring<T>(
  cluster: Cluster,
  path: string,
  warnings: string[],
): Promise<T[]> {
  try {
    return (await cluster.find<ListOf<T>>(path))?.items ?? [];
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 403) throw error;
    const kind = path.split('/').at(-1);
    warnings.push(
      `The worker may not list ${kind}, so it cannot tell whether one of them changes this Deployment: apply deploy/kubernetes-role.yaml.`,
    );
    return [];
  }
}
