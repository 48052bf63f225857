import type { V1ObjectMeta } from '@kubernetes/client-node';
import { KubernetesError, type Cluster, type Wire } from './api.ts';
import type { ReplicaSet } from './deployment/revisions.ts';
import { configMapsOf } from './config-map/references.ts';

/** Asks the API server for metadata alone: the contents never reach this process. */
const metadataOnly = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';

/**
 * ConfigMaps that the revision uses and that were changed after it was made, or are gone: a
 * rollback does not bring them back.
 */
export async function configMapWarnings(
  cluster: Cluster,
  namespace: string,
  revision: ReplicaSet,
): Promise<string[]> {
  const made = revision.metadata?.creationTimestamp ?? '';
  const warnings = await Promise.all(
    [...configMapsOf(revision.spec?.template).keys()].map(async (name) => {
      try {
        const { metadata } = await cluster.get<{ metadata: Wire<V1ObjectMeta> }>(
          `/api/v1/namespaces/${namespace}/configmaps/${name}`,
          {},
          metadataOnly,
        );
        const times = (metadata.managedFields ?? []).map(({ time }) => time ?? '');
        const changed = times.sort().at(-1) ?? metadata.creationTimestamp ?? '';
        return changed > made
          ? `ConfigMap ${name} was changed at ${changed}, after this revision was made, and stays as it is.`
          : undefined;
      } catch (error) {
        if (!(error instanceof KubernetesError)) throw error;
        if (error.status === 404) {
          return `ConfigMap ${name}, which this revision uses, is gone: its pods may not start.`;
        }
        if (error.status === 403) return undefined;
        throw error;
      }
    }),
  );
  return warnings.filter((warning) => warning !== undefined);
}
