import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import type { InputOf } from '../../contract/input.ts';
import { type Change, type Plan, type Target, targetKey } from '../../contract/plan.ts';
import type { Application } from '../argo-cd/application.ts';
import { refused } from '../failures.ts';
import type { Canary } from '../flagger/canary.ts';
import type { FluxObject } from '../flux/flux.ts';
import type { Cluster, Clusters } from '../kubernetes/api.ts';
import { inWords, type KubernetesObject, objectPath, targetOf } from '../kubernetes/objects.ts';
import { findApplying, ownerName } from './applying.ts';
import { holders, holdOf } from './held.ts';
import { OwnerLookup, type Owner } from './lookup.ts';
import { type HeldKind, policies } from './policies.ts';
import { asText, ownerChangeKinds, type OwnerState, valueOf } from './policy.ts';
import { reasonInWords } from './reason-in-words.ts';

/**
 * Plans the release of an owner, and of those that were held on its account: what is put back, and
 * what may come back with it. Reads only; needs no Temporal.
 * @throws Refused where there is no such owner, or several.
 */
export async function planRelease(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'release'>,
): Promise<Plan> {
  const [kind, name] = input.owner.split('/') as [HeldKind, string];
  const isArgo = kind === 'application' || kind === 'applicationset';
  const context = input.context ?? (isArgo ? settings.owners.argoCd.context : undefined);
  const cluster = clusters.of(context);
  const namespaces =
    input.namespace === undefined ? namespacesOf(settings, kind) : [input.namespace];
  const owner = await findOwner(cluster, kind, name, namespaces);
  const self = targetOf(kind, cluster, owner.object);
  const hold = holdOf(owner.object);
  if (!hold) {
    return draft([], [], `${inWords(self)} is not held: there is nothing to release.`);
  }
  const lookup = new OwnerLookup(clusters, cluster, settings);
  const behind = await findApplying(lookup, cluster, owner.object, ownerName(owner));
  const changes = [
    ...releaseOf(owner, undefined),
    ...behind.flatMap((other) => releaseOf(other, ownerName(owner))),
  ];
  const policy = policies[kind];
  const value = valueOf(owner.object, policy);
  const isHeld = policy.isHeld(value);
  const protectedTargets = hold.reasons.flatMap(({ protects }) => protects);
  const targets = [...changes.map(({ target }) => target), ...protectedTargets];
  const why = hold.reasons.map(reasonInWords).join('; ');
  return draft(
    targets,
    changes,
    isHeld
      ? `${inWords(self)} acts by itself again; it was held ${why}.`
      : `Somebody has changed ${policy.field} of ${inWords(self)} already, which stays as it is; the note that it was held ${why} is taken away.`,
    isHeld ? [...lookup.warnings, comingBack(owner, protectedTargets)] : lookup.warnings,
  );
}

function draft(
  targets: Target[],
  changes: Change[],
  summary: string,
  warnings: string[] = [],
): Plan {
  return digestPlan({
    procedure: 'release',
    targets: [...new Map(targets.map((target) => [targetKey(target), target])).values()],
    ...{ changes, summary, warnings, differences: changes.map(inDifferences) },
    checks: [],
    estimateSeconds: changes.length > 0 ? 1 : 0,
  });
}

function inDifferences({ target, before, after }: Change): string {
  const fields = Object.keys(before).filter((key) => key !== 'held' && key !== 'holders');
  const words = fields.map(
    (field) => `${field} ${before[field] ?? '(none)'} -> ${after[field] ?? '(none)'}`,
  );
  return `${inWords(target)}: ${words.join(', ')}`;
}

/** What ends a hold; nothing where it is not held, or not on that account. */
function releaseOf({ kind, object, cluster }: Owner, through: string | undefined): Change[] {
  const policy = policies[kind];
  const hold = holdOf(object);
  const isOver = (reason: { through?: string }) =>
    through === undefined || reason.through === through;
  if (!hold?.reasons.some(isOver)) return [];
  const target = targetOf(kind, cluster, object);
  const value = valueOf(object, policy);
  const isFree = hold.reasons.every(isOver);
  const next = isFree && policy.isHeld(value) ? policy.released(value, hold.was) : value;
  const before: OwnerState = {
    ...{ [policy.field]: asText(value), held: true, holders: holders(hold) },
  };
  const after: OwnerState = {
    ...{ [policy.field]: asText(next), held: !isFree },
    ...(through === undefined ? {} : { through }),
  };
  const id = `release:${ownerName({ kind, object, cluster })}`;
  return [{ id, kind: ownerChangeKinds.release, target, before, after }];
}

/** Where owners of this kind may be that are named without their namespace. */
function namespacesOf(
  { owners, kubernetes, services }: LoadedSettings['settings'],
  kind: HeldKind,
): string[] {
  const own = [
    kubernetes.namespace,
    ...Object.values(services).flatMap(({ namespace }) => namespace ?? []),
  ];
  const first: Record<HeldKind, string[]> = {
    application: [owners.argoCd.namespace],
    applicationset: [owners.argoCd.namespace],
    kustomization: [owners.flux.namespace],
    helmrelease: [owners.flux.namespace],
    canary: [],
  };
  return [...new Set([...first[kind], ...own])];
}

async function findOwner(
  cluster: Cluster,
  kind: HeldKind,
  name: string,
  namespaces: string[],
): Promise<Owner> {
  const found = await Promise.all(
    namespaces.map((namespace) =>
      cluster.find<KubernetesObject>(objectPath(kind, namespace, name)),
    ),
  );
  const objects = found.filter((object) => object !== undefined);
  const [object, other] = objects;
  const where = `context ${cluster.context}`;
  if (!object) {
    throw refused(
      `There is no ${kind} ${name} in ${namespaces.join(', ')} of ${where}: name its namespace with --namespace, or see rollback holds.`,
    );
  }
  if (other) {
    const places = objects.map(({ metadata }) => metadata?.namespace).join(', ');
    throw refused(`There is a ${kind} ${name} in each of ${places}: name one with --namespace.`);
  }
  return { kind, object, cluster };
}

/** Whether what was rolled back would come back at once, as far as that can be told. */
function comingBack({ kind, object }: Owner, protectedTargets: Target[]): string {
  if (kind === 'application') {
    const { status } = object as Application;
    const differing = (status?.resources ?? [])
      .filter((resource) => resource.status === 'OutOfSync')
      .map((resource) => `${resource.kind} ${resource.name}`);
    const revision = status?.sync?.revision?.slice(0, 12) ?? 'unknown';
    const isRolledBack = (words: string) =>
      protectedTargets.some(({ name }) => words.endsWith(` ${name}`));
    if (differing.some(isRolledBack)) {
      return `Git (revision ${revision}, as Argo CD has seen it last) has another version of ${differing.filter(isRolledBack).join(', ')} than runs: Argo CD puts it there at once. Make sure that it is not the one that was left.`;
    }
    if (status?.sync?.status !== 'Synced' && differing.length === 0) {
      return 'Argo CD has not said yet how git and what runs differ: make sure that git does not have the version that was left, since Argo CD puts its version there at once.';
    }
    return `Argo CD has seen no difference between git (revision ${revision}) and what was rolled back.`;
  }
  if (kind === 'canary') {
    const { spec, status } = object as Canary;
    return `Flagger goes on where it was (${status?.phase ?? 'no phase'}); where ${spec?.targetRef?.name} has another version than was promoted last, it analyses that anew.`;
  }
  if (kind === 'applicationset') return 'It puts back what was changed on its applications.';
  const { status } = object as FluxObject;
  return `Flux applies the newest version of its source at its next reconciliation (last applied: ${status?.lastAppliedRevision ?? status?.lastAttemptedRevision ?? 'unknown'}): make sure that it is not the one that was left.`;
}
