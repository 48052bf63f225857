/** Flux: which Kustomization or HelmRelease applies an object, and how that is suspended. */
import type { V1ManagedFieldsEntry } from '@kubernetes/client-node';
import type { OwnerKind } from '../../contract/plan.ts';
import type { Wire } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { fieldPolicy, type Policy } from '../owners/policy.ts';

export interface FluxObject extends KubernetesObject {
  spec?: { suspend?: boolean; driftDetection?: { mode?: string } };
  status?: { lastAppliedRevision?: string; lastAttemptedRevision?: string };
}

/**
 * Neither a commit nor drift is reconciled while it is true (kustomize-controller and helm-controller,
 * Reconcile); what is under way goes on to its end.
 */
export const suspendPolicy: Policy = fieldPolicy(['spec', 'suspend'], true);

export interface Applier {
  kind: Extract<OwnerKind, 'kustomization' | 'helmrelease'>;
  namespace: string;
  name: string;
}

/** Whoever in Flux applies the object, as it says itself; a HelmRelease comes before what made that. */
export function appliersOf({ metadata }: KubernetesObject): Applier[] {
  const labels = metadata?.labels ?? {};
  const kinds = { helmrelease: 'helm', kustomization: 'kustomize' } as const;
  return Object.entries(kinds).flatMap(([kind, group]) => {
    const name = labels[`${group}.toolkit.fluxcd.io/name`];
    const namespace = labels[`${group}.toolkit.fluxcd.io/namespace`] ?? metadata?.namespace ?? '';
    return name ? [{ kind: kind as Applier['kind'], namespace, name }] : [];
  });
}

/** A set of fields in the API server's own notation. */
interface Fields {
  [key: string]: Fields | undefined;
}

type ManagedFields = Omit<Wire<V1ManagedFieldsEntry>, 'fieldsV1'> & { fieldsV1?: Fields };

/**
 * Whether whoever in Flux applies an object also sets this field of it, and so would put it back. A
 * Kustomization owns the fields that its source has and leaves all others alone; a HelmRelease writes
 * only with its next upgrade, unless it corrects drift.
 */
export function sets(
  { kind }: Applier,
  applier: FluxObject,
  object: KubernetesObject,
  path: readonly string[],
): boolean {
  if (kind === 'helmrelease') return applier.spec?.driftDetection?.mode === 'enabled';
  const entries = (object.metadata?.managedFields ?? []) as ManagedFields[];
  return entries.some(
    ({ manager, fieldsV1 }) =>
      manager === 'kustomize-controller' &&
      path.reduce<Fields | undefined>((fields, key) => fields?.[`f:${key}`], fieldsV1) !==
        undefined,
  );
}
