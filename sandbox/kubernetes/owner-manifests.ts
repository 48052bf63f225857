/** Owners as teams have them: objects of Argo CD, Flux, Flagger and Argo Rollouts. */

interface Named {
  ownerReferences?: object[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** The annotation with which Argo CD marks what an Application has deployed. */
export function trackedBy(application: string, kind: string, namespace: string, name: string) {
  const id = `${application}:${kind}:${namespace}/${name}`;
  return { annotations: { 'argocd.argoproj.io/tracking-id': id } };
}

/** Syncs by itself unless said otherwise. */
export function application(
  name: string,
  syncPolicy: object = { automated: { prune: true, selfHeal: true } },
  about: Named = {},
): object {
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name, ...about },
    spec: {
      project: 'default',
      source: { repoURL: 'https://git.example.com/shop', path: '.', targetRevision: 'main' },
      destination: { server: 'https://kubernetes.default.svc', namespace: 'production' },
      syncPolicy,
    },
  };
}

export function kustomization(name: string, spec: object = {}): object {
  return {
    apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
    kind: 'Kustomization',
    metadata: { name },
    spec: {
      interval: '10m',
      prune: true,
      sourceRef: { kind: 'GitRepository', name: 'shop' },
      ...spec,
    },
  };
}

export function helmRelease(name: string, spec: object = {}): object {
  return {
    apiVersion: 'helm.toolkit.fluxcd.io/v2',
    kind: 'HelmRelease',
    metadata: { name },
    spec: {
      interval: '10m',
      chartRef: { kind: 'OCIRepository', name: 'shop' },
      ...spec,
    },
  };
}

export function canary(name: string, target: string): object {
  return {
    apiVersion: 'flagger.app/v1beta1',
    kind: 'Canary',
    metadata: { name },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
      service: { port: 80 },
      analysis: { interval: '1m', threshold: 5, iterations: 1 },
    },
  };
}

/** A Rollout that runs the pods of a Deployment. */
export function rolloutOf(name: string, deployment: string): object {
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: deployment } },
      workloadRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: deployment },
      strategy: { canary: { steps: [{ setWeight: 20 }, { pause: {} }] } },
    },
  };
}
