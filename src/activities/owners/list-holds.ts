import type { Settings } from '../../config/schema.ts';
import type { Target } from '../../contract/plan.ts';
import {
  type Cluster,
  type Clusters,
  KubernetesError,
  KubernetesUnreachable,
  type ListOf,
} from '../kubernetes/api.ts';
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
  /** What could not be listed: `applications in argocd of CONTEXT (forbidden)`. */
  unseen: string[];
}

/**
 * What runs hold, in every region and wherever the settings say that there may be owners; the oldest
 * first.
 * @param context of the kubeconfig, to look there only
 * @param namespace to look in beside those of the settings
 */
export async function listHolds(
  clusters: Clusters,
  settings: Settings,
  { context, namespace }: { context?: string; namespace?: string },
): Promise<Holds> {
  const regions = Object.values(settings.regions).map((region) => region.context);
  const contexts = context === undefined ? [undefined, ...regions] : [context];
  const holds: Holds = { held: [], unseen: [] };
  const kinds = Object.keys(policies) as HeldKind[];
  const places = contexts.flatMap((one) =>
    kinds.flatMap((kind) => {
      const isArgo = kind === 'application' || kind === 'applicationset';
      const where = context === undefined && isArgo ? settings.owners.argoCd.context : undefined;
      return placesOf(settings, isArgo, namespace).map((place) => ({
        cluster: clusters.of(where ?? one),
        path: objectPath(kind, place),
        ...{ kind, place },
      }));
    }),
  );
  const distinct = new Map(places.map((one) => [`${one.cluster.server} ${one.path}`, one]));
  await Promise.all(
    [...distinct.values()].map(({ cluster, kind, place }) => add(holds, cluster, kind, place)),
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
    const isForbidden = error instanceof KubernetesError && error.status === 403;
    if (!isForbidden && !(error instanceof KubernetesUnreachable)) throw error;
    const why = isForbidden ? 'forbidden' : 'it does not answer';
    unseen.push(`${path.split('/').at(-1)} in ${namespace} of ${cluster.context} (${why})`);
  }
}

function since({ reasons: [first] }: ListedHold): string {
  return first?.at ?? '';
}
