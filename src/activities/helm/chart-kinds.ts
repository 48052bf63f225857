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

/** Tells the kind of an object; undefined where the API server does not know it. */
export type KindOf = (
  object: Pick<ManifestObject, 'apiVersion' | 'kind'>,
) => Promise<ChartKind | undefined>;

/** Tells the kinds of a chart's objects, and asks once for each version of an API that they have. */
export function kindsIn(cluster: Cluster): KindOf {
  const lists = new Map<string, Promise<ResourceList | undefined>>();
  return async ({ apiVersion, kind }) => {
    const api = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const asked = lists.get(api) ?? cluster.find<ResourceList>(api);
    lists.set(api, asked);
    const list = await asked;
    const found = list?.resources.find((one) => one.kind === kind && !one.name.includes('/'));
    return found && { api, resource: found.name, isNamespaced: found.namespaced };
  };
}
