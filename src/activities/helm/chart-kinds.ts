/** The kinds of the objects that charts have, as the API server serves them. */
import type { Cluster } from '../kubernetes/api.ts';
import type { ManifestObject } from './manifest.ts';

interface ResourceList {
  resources: { name: string; kind: string; namespaced: boolean }[];
}

export interface ChartKind {
  /** Path of its version, such as `/apis/apps/v1`. */
  api: string;
  /** Its name in paths, such as `deployments`. */
  resource: string;
  isNamespaced: boolean;
}

/** The kind of an object; undefined where the API server does not know it. */
export async function kindOf(
  cluster: Cluster,
  { apiVersion, kind }: Pick<ManifestObject, 'apiVersion' | 'kind'>,
): Promise<ChartKind | undefined> {
  const api = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const list = await cluster.find<ResourceList>(api);
  const found = list?.resources.find((one) => one.kind === kind && !one.name.includes('/'));
  return found && { api, resource: found.name, isNamespaced: found.namespaced };
}
