import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import { type Cluster, type Clusters, KubernetesError, type ListOf } from '../kubernetes/api.ts';
import { type KubernetesObject, objectPath, targetOf } from '../kubernetes/objects.ts';
import { heldLabel, holdOf, type Reason } from './held.ts';
import { type HeldKind, policies } from './policies.ts';
import { valueOf } from './policy.ts';

/** An owner that carries the note of a hold. */
export interface ListedHold {
  owner: Target;
  /** False where somebody has turned it on by hand since. */
  isHeld: boolean;
  reasons: Reason[];
}

export interface Holds {
  held: ListedHold[];
  /** What this account may not list, as `kubectl` names it: `applications in argocd`. */
  unseen: string[];
}

/**
 * What runs hold, wherever the settings say that there may be owners; the oldest first.
 * @param context of the kubeconfig, where it is not the default one
 * @param namespace to look in beside those of the settings
 */
export async function listHolds(
  clusters: Clusters,
  settings: Settings,
  { context, namespace }: { context?: string; namespace?: string },
): Promise<Holds> {
  const cluster = clusters.of(context);
  const { argoCd } = settings.owners;
  const argoCluster = clusters.of(context ?? argoCd.context);
  const holds: Holds = { held: [], unseen: [] };
  const kinds = Object.keys(policies) as HeldKind[];
  await Promise.all(
    kinds.flatMap((kind) => {
      const isArgo = kind === 'application' || kind === 'applicationset';
      const places = placesOf(settings, isArgo, namespace);
      return places.map((place) => add(holds, isArgo ? argoCluster : cluster, kind, place));
    }),
  );
  holds.held.sort((one, other) => since(one).localeCompare(since(other)));
  holds.unseen.sort();
  return holds;
}

function placesOf(
  { kubernetes, services, owners }: Settings,
  isArgo: boolean,
  namespace: string | undefined,
): string[] {
  const places = [
    isArgo ? owners.argoCd.namespace : owners.flux.namespace,
    kubernetes.namespace,
    ...Object.values(services).flatMap((service) => service.namespace ?? []),
    ...(namespace === undefined ? [] : [namespace]),
  ];
  return [...new Set(places)];
}

async function add(
  { held, unseen }: Holds,
  cluster: Cluster,
  kind: HeldKind,
  namespace: string,
): Promise<void> {
  const path = objectPath(kind, namespace);
  try {
    const query = { labelSelector: `${heldLabel}=true` };
    const found = await cluster.find<ListOf<KubernetesObject>>(path, query);
    for (const object of found?.items ?? []) {
      const hold = holdOf(object);
      if (!hold) continue;
      const isHeld = policies[kind].isHeld(valueOf(object, policies[kind]));
      held.push({ owner: targetOf(kind, cluster, object), isHeld, reasons: hold.reasons });
    }
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 403) throw error;
    unseen.push(`${path.split('/').at(-1)} in ${namespace}`);
  }
}

function since({ reasons: [first] }: ListedHold): string {
  return first?.at ?? '';
}
