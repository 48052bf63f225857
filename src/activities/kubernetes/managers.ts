import type { KubernetesObject } from './objects.ts';

/** Who puts an object back as it is written elsewhere: Helm, Argo CD or Flux, in words for the plan. */
export function managerWarnings({ metadata }: KubernetesObject, what: string): string[] {
  const { labels = {}, annotations = {} } = metadata ?? {};
  const warnings: string[] = [];
  const release = annotations['meta.helm.sh/release-name'];
  if (release ?? labels['app.kubernetes.io/managed-by'] === 'Helm') {
    warnings.push(
      `Helm owns ${what} (release ${release ?? 'unknown'}): its next helm upgrade may put back what is changed now.`,
    );
  }
  const application =
    annotations['argocd.argoproj.io/tracking-id']?.split(':')[0] ??
    labels['argocd.argoproj.io/instance'];
  if (application) {
    warnings.push(
      `Argo CD owns ${what} (application ${application}): with self-heal on it puts back what is in git within minutes. Turn auto-sync off first (argocd app set ${application} --sync-policy none), and change git.`,
    );
  }
  const flux = labels['kustomize.toolkit.fluxcd.io/name'] ?? labels['helm.toolkit.fluxcd.io/name'];
  if (flux) {
    warnings.push(
      `Flux owns ${what} (${flux}): its next reconciliation puts back what is in git. Suspend it first (flux suspend).`,
    );
  }
  return warnings;
}
