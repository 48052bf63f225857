import { findApplication, findApplicationSet } from '../argo-cd/find-application.ts';
import { findAppliers } from '../flux/find-appliers.ts';
import type { Cluster } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { holdOf } from './held.ts';
import type { OwnerLookup, Owner } from './lookup.ts';
import { policies } from './policies.ts';
import { valueOf } from './policy.ts';

/** An owner, with how it came to be found. */
export interface Found extends Owner {
  /** How many owners stand between it and the object; the farthest is held first. */
  distance: number;
  /** The owner that it would put back, where it is held for that alone. */
  through: string | undefined;
}

/** An owner of an owner of an owner; an application may also be its own. */
const farthest = 5;

/**
 * Argo CD and Flux where they apply the object, and whatever would put back that these are held.
 * @param cluster where the object is
 * @param held the owner that the object is, where it is one that is to be held
 */
export async function findApplying(
  lookup: OwnerLookup,
  cluster: Cluster,
  object: KubernetesObject,
  held?: string,
  distance = 0,
): Promise<Found[]> {
  const direct = await Promise.all([
    findApplication(lookup, object),
    object.kind === 'Application' ? findApplicationSet(lookup, object) : [],
    findAppliers(lookup, cluster, object, held),
  ]);
  const found = await Promise.all(
    direct.flat().map(async (owner): Promise<Found[]> => {
      if (owner.object.metadata?.uid === object.metadata?.uid) return [];
      const self: Found = { ...owner, distance, through: held };
      if (distance === farthest || isOff(owner)) return [self];
      const leaf = held ?? ownerName(owner);
      const behind = findApplying(lookup, owner.cluster, owner.object, leaf, distance + 1);
      return [self, ...(await behind)];
    }),
  );
  return found.flat();
}

/** Whether somebody has turned it off, rather than a run. */
export function isOff({ kind, object }: Owner): boolean {
  const policy = policies[kind];
  return policy.isHeld(valueOf(object, policy)) && holdOf(object) === undefined;
}

/** As `targetName` has it. */
export function ownerName({ kind, object }: Owner): string {
  return `${kind}/${object.metadata?.namespace}/${object.metadata?.name}`;
}
