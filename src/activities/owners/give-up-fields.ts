import { isRace } from '../kubernetes/race.ts';
import type { V1ManagedFieldsEntry } from '@kubernetes/client-node';
import type { Target } from '../../contract/plan.ts';
import { type Cluster, fieldManager, type Wire } from '../kubernetes/api.ts';
import { type KubernetesObject, objectPath } from '../kubernetes/objects.ts';

type ManagedFields = Omit<Wire<V1ManagedFieldsEntry>, 'fieldsV1'> & {
  fieldsV1?: Record<string, unknown>;
};

const attempts = 10;

/**
 * Gives up the ownership of what was put back, so that whoever applies the object by server-side
 * apply does not meet a conflict. Metadata stays this project's: others do not set it.
 * @param object as it was just patched
 */
export async function giveUpFields(
  cluster: Cluster,
  { kind, namespace, name, uid }: Target,
  object: KubernetesObject,
): Promise<void> {
  const path = objectPath(kind, namespace, name);
  let seen: KubernetesObject | undefined = object;
  for (let attempt = 1; seen?.metadata?.uid === uid; attempt++) {
    const entries = (seen.metadata.managedFields ?? []) as ManagedFields[];
    const left = entries.flatMap((entry): ManagedFields[] => {
      if (entry.manager !== fieldManager || entry.subresource) return [entry];
      const metadata = entry.fieldsV1?.['f:metadata'];
      return metadata ? [{ ...entry, fieldsV1: { 'f:metadata': metadata } }] : [];
    });
    if (JSON.stringify(left) === JSON.stringify(entries)) return;
    try {
      await cluster.patch(path, [
        { op: 'test', path: '/metadata/resourceVersion', value: seen.metadata.resourceVersion },
        { op: 'replace', path: '/metadata/managedFields', value: left },
      ]);
      return;
    } catch (error) {
      if (!isRace(error) || attempt === attempts) throw error;
      seen = await cluster.find<KubernetesObject>(path);
    }
  }
}
