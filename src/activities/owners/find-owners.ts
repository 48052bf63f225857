/** Who else changes an object, and how they are kept from it while it is rolled back. */
import type { V2HorizontalPodAutoscaler } from '@kubernetes/client-node';
import type { Change, Target } from '../../contract/plan.ts';
import {
  rolloutOfService,
  type Rollout,
  rolloutOf,
  rolloutsPath,
} from '../argo-rollouts/rollout.ts';
import { canariesPath, type Canary, canaryOf } from '../flagger/canary.ts';
import { findAppliers } from '../flux/find-appliers.ts';
import type { Wire } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { findApplying, type Found, ownerName } from './applying.ts';
import { holdingOf } from './holding.ts';
import type { OwnerLookup } from './lookup.ts';

export interface Owners {
  /** Said in the plan. */
  warnings: string[];
  /** Owners to be held while the objects are changed, and after that; the first of them first. */
  changes: Change[];
  /** The objects of those changes. */
  targets: Target[];
  /** Why the objects must not be changed here, with what to do instead. */
  refusal?: string;
  /** Flagger's Canary and the Rollout of Argo Rollouts that one of the objects is of. */
  canary?: Canary;
  rollout?: Rollout;
}

/**
 * Finds the owners of objects as they were read, which takes their `kind` and `apiVersion`: Argo CD,
 * Flux and Flagger, whom a plan holds, and Helm, autoscalers and operators, of whom it warns. The plan
 * takes over changes and targets, after its own; the run holds them before its first step.
 * @param lookup one for all objects of a plan, so that nothing is asked twice
 */
export async function findOwners(
  lookup: OwnerLookup,
  ...objects: KubernetesObject[]
): Promise<Owners> {
  const each = await Promise.all(objects.map((object) => ownersOf(lookup, object)));
  const all = held(
    lookup,
    each.flatMap(({ found }) => found),
    each.flatMap((one) => one.warnings),
  );
  for (const { refusal, canary, rollout } of each) {
    if (refusal !== undefined) all.refusal ??= refusal;
    if (canary) all.canary ??= canary;
    if (rollout) all.rollout ??= rollout;
  }
  return all;
}

/** Finds who in Flux makes a Helm release, by what it notes on all that the release has, and their owners. */
export async function findReleaseOwners(
  lookup: OwnerLookup,
  objects: readonly KubernetesObject[],
): Promise<Owners> {
  const { cluster } = lookup;
  const appliers = await Promise.all(
    objects.map((object) => findAppliers(lookup, cluster, object, undefined)),
  );
  const makers = appliers.flat().filter(({ kind }) => kind === 'helmrelease');
  const found = await Promise.all(
    makers.map(async (maker): Promise<Found[]> => {
      const behind = findApplying(lookup, cluster, maker.object, ownerName(maker), 1);
      return [{ ...maker, distance: 0, through: undefined }, ...(await behind)];
    }),
  );
  return held(lookup, found.flat(), []);
}

function held(lookup: OwnerLookup, found: Found[], warnings: readonly string[]): Owners {
  const holdings = inOrder(found).map(holdingOf);
  const changes = holdings.flatMap(({ change }) => change ?? []);
  const words = holdings.flatMap((holding) => holding.words);
  return {
    warnings: [...new Set([...lookup.warnings, ...warnings, ...words])],
    changes,
    targets: changes.map(({ target }) => target),
  };
}

/** An item of a list as an object that says what it is, as `findOwners` takes it. */
export function ofKind<T extends KubernetesObject>(apiVersion: string, kind: string, item: T): T {
  return { ...item, apiVersion, kind };
}

/**
 * The lists that are looked through for each object of a namespace. Whoever plans may ask for them while
 * it reads the objects, and `findOwners` has them then.
 */
export function lookAhead(lookup: OwnerLookup, namespace: string) {
  return Promise.all([
    lookup.list<Wire<V2HorizontalPodAutoscaler>>(
      `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`,
    ),
    lookup.list<Canary>(canariesPath(namespace)),
    lookup.list<Rollout>(rolloutsPath(namespace)),
  ]);
}

type OwnersOfOne = Pick<Owners, 'warnings' | 'refusal' | 'canary' | 'rollout'> & { found: Found[] };

async function ownersOf(lookup: OwnerLookup, object: KubernetesObject): Promise<OwnersOfOne> {
  const { namespace = '', name = '' } = object.metadata ?? {};
  const { cluster } = lookup;
  const [[autoscalers, canaries, rollouts], found] = await Promise.all([
    lookAhead(lookup, namespace),
    findApplying(lookup, cluster, object),
  ]);
  const one: OwnersOfOne = {
    warnings: [
      ...helmWarnings(object),
      ...autoscalerWarnings(autoscalers, object),
      ...operatorWarnings(object),
    ],
    found,
  };
  const canary = canaryOf(canaries, object);
  if (canary) {
    one.canary = canary;
    const owner = { kind: 'canary', object: canary, cluster } as const;
    const whole = ofKind('flagger.app/v1beta1', 'Canary', canary);
    const behind = await findApplying(lookup, cluster, whole, ownerName(owner));
    one.found.push({ ...owner, distance: -1, through: undefined }, ...behind);
  }
  const rollout = rolloutOf(rollouts, object);
  if (rollout) one.rollout = rollout;
  const managing = rolloutOfService(object);
  if (managing !== undefined) {
    one.refusal = `Argo Rollouts (rollout ${managing}) sets the selector of Service ${name} in ${namespace}, and would set it again at once: roll back the Deployment that the rollout follows, or undo the rollout (kubectl argo rollouts undo ${managing} -n ${namespace}).`;
  }
  return one;
}

/** Each owner once, and before it those that would put it back. */
function inOrder(all: Found[]): Found[] {
  const byName = new Map<string, Found>();
  for (const found of all) {
    const known = byName.get(ownerName(found));
    byName.set(ownerName(found), {
      ...found,
      distance: Math.max(found.distance, known?.distance ?? found.distance),
      // One that is held on its own account is not let go with another.
      through: known && known.through !== found.through ? undefined : found.through,
    });
  }
  return [...byName.entries()]
    .sort(([name, one], [other, two]) => two.distance - one.distance || (name < other ? -1 : 1))
    .map(([, found]) => found);
}

function helmWarnings({ kind, metadata }: KubernetesObject): string[] {
  const release = metadata?.annotations?.['meta.helm.sh/release-name'];
  const isHelm = metadata?.labels?.['app.kubernetes.io/managed-by'] === 'Helm';
  if (release === undefined && !isHelm) return [];
  return [
    `Helm owns this ${kind} (release ${release ?? 'unknown'}): the release still records the version that is rolled back, and the next helm upgrade starts from there. Roll the release back as well, with helm rollback.`,
  ];
}

function autoscalerWarnings(
  autoscalers: Wire<V2HorizontalPodAutoscaler>[],
  object: KubernetesObject,
): string[] {
  const { kind, metadata } = object;
  return autoscalers
    .filter(
      ({ spec }) =>
        spec?.scaleTargetRef.kind === kind && spec?.scaleTargetRef.name === metadata?.name,
    )
    .map(
      ({ metadata: own, spec }) =>
        `HorizontalPodAutoscaler ${own?.name} (${spec?.minReplicas ?? 1} to ${spec?.maxReplicas}) sets the number of replicas; it may change while the rollback runs.`,
    );
}

function operatorWarnings({ kind, metadata }: KubernetesObject): string[] {
  const controller = metadata?.ownerReferences?.find((owner) => owner.controller);
  if (!controller || controller.kind === 'Canary') return [];
  return [
    `${controller.kind} ${controller.name} owns this ${kind} and may put its own version back: change it there as well.`,
  ];
}
