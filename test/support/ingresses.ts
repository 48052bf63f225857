/** Ingresses of tests, and the Services behind them. */
import { serviceManifest } from '../../sandbox/kubernetes/manifests.ts';
import type { TestCluster } from './cluster.ts';
import { endpoints } from './colours.ts';
import { eventually } from './eventually.ts';
import { deploymentManifest } from './manifests.ts';

export function to(service: string, port: object = { number: 80 }) {
  return { service: { name: service, port } };
}

export function path(at: string, service: string, pathType = 'Prefix') {
  return { path: at, pathType, backend: to(service) };
}

export function rule(host: string, ...paths: object[]) {
  return { host, http: { paths } };
}

export function ingress(name: string, spec: object, annotations: Record<string, string> = {}) {
  return {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
    ...{ metadata: { name, annotations }, spec },
  };
}

/** Makes Services of these names, each with one pod, and waits until all serve. */
export async function serve(cluster: TestCluster, names: readonly string[]): Promise<void> {
  await cluster.apply(
    names.flatMap((name) => [
      deploymentManifest(name, 'wakala/api:1.0.0', { replicas: 1 }),
      serviceManifest(name, { app: name }),
    ]),
  );
  await eventually('the Services serve', async () => {
    const found = await Promise.all(names.map((name) => endpoints(cluster, name)));
    return found.every((pods) => pods.length === 1);
  });
}
