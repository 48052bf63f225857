import type { Cluster } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { holdOf } from '../owners/held.ts';
import type { OwnerLookup, Owner } from '../owners/lookup.ts';
import { policyOf } from '../owners/policies.ts';
import { appliersOf, type FluxObject, sets } from './flux.ts';

/**
 * The Kustomizations and HelmReleases that apply the object. Of an owner that is to be held, only
 * those that would put back the field by which it is.
 * @param held the owner, where the object is one
 */
export async function findAppliers(
  lookup: OwnerLookup,
  cluster: Cluster,
  object: KubernetesObject,
  held: string | undefined,
): Promise<Owner[]> {
  const found = await Promise.all(
    appliersOf(object).map(async (applier): Promise<Owner[]> => {
      const { kind, namespace, name } = applier;
      const byHand = `flux suspend ${kind} ${name} -n ${namespace}`;
      const applying = await lookup.find<FluxObject>(cluster, kind, namespace, name, { byHand });
      if (!applying) {
        if (held === undefined) lookup.warn(missing(kind, namespace, name, byHand));
        return [];
      }
      const owner: Owner = { kind, object: applying, cluster };
      if (held === undefined) return [owner];
      const policy = policyOf(object.kind?.toLowerCase() ?? '');
      const wouldPutBack = policy && sets(applier, applying, object, policy.path);
      const isHeldForIt = holdOf(applying)?.reasons.some(({ through }) => through === held);
      return wouldPutBack || isHeldForIt ? [owner] : [];
    }),
  );
  return found.flat();
}

function missing(kind: string, namespace: string, name: string, byHand: string): string {
  return `Flux owns this (${kind} ${name} in ${namespace}), and there is no such ${kind}: its next reconciliation puts the version from git back. Suspend it first (${byHand}).`;
}
