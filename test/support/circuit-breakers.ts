/** ConfigMaps with the keys of a circuit breaker, and who reads them. */
import type { TestCluster } from './cluster.ts';
import { deploymentManifest } from './manifests.ts';

export const image = 'wakala/api:1.0.0';
/** What opening sets. */
export const keys = {
  CIRCUIT_BREAKER_ENABLED: 'true',
  CIRCUIT_BREAKER_THRESHOLD: '10',
  CIRCUIT_BREAKER_TIMEOUT: '60',
};
const long = `${'a line of a long value\n'.repeat(20)}`;
/** What stands there before. */
export const data = {
  ...{ CIRCUIT_BREAKER_ENABLED: 'false', CIRCUIT_BREAKER_TIMEOUT: long },
  OTHER: 'stays',
};

export interface ConfigMap {
  data: Record<string, string>;
  metadata: { annotations?: object };
}

export function configMap(name: string, fields: object = { data }): object {
  return { ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }, ...fields };
}

/** What makes a container read a ConfigMap. */
export function envFrom(name: string): object {
  return { envFrom: [{ configMapRef: { name } }] };
}

/** A ConfigMap and one Deployment of the same name that reads it. */
export async function makeReader(cluster: TestCluster, name: string): Promise<void> {
  const container = envFrom(name);
  await cluster.apply([
    configMap(name),
    deploymentManifest(name, image, { replicas: 2, container }),
  ]);
  await cluster.rollout(name);
}

export async function valuesOf(
  cluster: TestCluster,
  name: string,
): Promise<Record<string, string>> {
  return (await cluster.get<ConfigMap>('configmap', name)).data;
}

export async function generationOf(
  cluster: TestCluster,
  name: string,
): Promise<number | undefined> {
  return (await cluster.deployment(name)).metadata?.generation;
}
