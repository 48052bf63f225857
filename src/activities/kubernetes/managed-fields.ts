/** Who owns which fields of an object that is applied from elsewhere, and how that is left as it was. */
import type { V1ManagedFieldsEntry } from '@kubernetes/client-node';
import { fieldManager, type Cluster, type Wire } from './api.ts';
import { isOwnAnnotation } from './deployment/annotations.ts';
import type { KubernetesObject } from './objects.ts';

/** A set of fields in the API server's own notation: nested objects of `f:` keys. */
interface Fields {
  [key: string]: Fields | undefined;
}
type ManagedFields = Omit<Wire<V1ManagedFieldsEntry>, 'fieldsV1'> & { fieldsV1?: Fields };

/**
 * Gives up the ownership of fields that this project's patches took. The template's go to the
 * manager that applies it, so that what its next version no longer has is removed; the others, such
 * as the strategy, to nobody, so that no manager removes what it never set. Its own annotations stay
 * this project's. Answers whether there was anything to give up.
 */
export async function returnFields(
  cluster: Cluster,
  path: string,
  { metadata }: KubernetesObject,
): Promise<boolean> {
  const entries = (metadata?.managedFields ?? []) as ManagedFields[];
  const isOurs = (entry: ManagedFields) => entry.manager === fieldManager && !entry.subresource;
  const ours = entries.filter(isOurs);
  if (ours.every(({ fieldsV1 }) => isSame(fieldsV1, ownFields(fieldsV1)))) return false;
  const owner = entries.find(
    ({ operation, fieldsV1 }) => operation === 'Apply' && fieldsV1?.['f:spec']?.['f:template'],
  );
  const returned = entries.flatMap((entry): ManagedFields[] => {
    if (entry === owner) {
      const fieldsV1 = ours.map(templateFields).reduce(merge, entry.fieldsV1 ?? {});
      return [{ ...entry, fieldsV1 }];
    }
    if (!isOurs(entry)) return [entry];
    const fieldsV1 = ownFields(entry.fieldsV1);
    return fieldsV1 ? [{ ...entry, fieldsV1 }] : [];
  });
  await cluster.patch(path, [
    { op: 'test', path: '/metadata/resourceVersion', value: metadata?.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: returned },
  ]);
  return true;
}

function templateFields({ fieldsV1 }: ManagedFields): Fields {
  const template = fieldsV1?.['f:spec']?.['f:template'];
  return template ? { 'f:spec': { 'f:template': template } } : {};
}

/** This project's own annotations among the fields; undefined where there are none. */
function ownFields(fields: Fields | undefined): Fields | undefined {
  const annotations = Object.entries(fields?.['f:metadata']?.['f:annotations'] ?? {});
  const own = annotations.filter(([key]) => isOwnAnnotation(key.replace(/^f:/, '')));
  if (own.length === 0) return undefined;
  return { 'f:metadata': { 'f:annotations': Object.fromEntries(own) } };
}

function isSame(one: Fields | undefined, other: Fields | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Union of two sets of fields. */
function merge(one: Fields, other: Fields): Fields {
  const merged = { ...one };
  for (const [key, value] of Object.entries(other))
    merged[key] = merge(merged[key] ?? {}, value ?? {});
  return merged;
}
