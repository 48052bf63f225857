/**
 * Holding an owner for a run, and letting it go. Several runs may need the same owner held, so the
 * note on it lists them all, and the last to go puts back what was there.
 */
import { isRace } from '../kubernetes/race.ts';
import { askedBy } from '../../authority/asked-by.ts';
import { type Effect, isInCluster, isOwner, type Target } from '../../contract/plan.ts';
import { refused, stale } from '../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../kubernetes/api.ts';
import { markOperations } from '../kubernetes/change-object.ts';
import type { Comparison } from '../kubernetes/deployment/compare-revisions.ts';
import { hasChanged } from '../kubernetes/last-change.ts';
import { assertMayUndo } from '../kubernetes/may-undo.ts';
import {
  inWords,
  type KubernetesObject,
  objectPath,
  readTarget,
  standingChangesBy,
} from '../kubernetes/objects.ts';
import {
  forgetOperations,
  type Hold,
  holdOf,
  isReasonOf,
  noteOperations,
  type Reason,
} from './held.ts';
import { policyOf } from './policies.ts';
import { asText, type OwnerMandate, type Policy, setValue, valueOf } from './policy.ts';
import { giveUpFields } from './give-up-fields.ts';

/** An object that changes all the time is somebody else's work in progress. */
const attempts = 10;

/** An owner as it is read, and what is to be patched. */
export interface Seen {
  object: KubernetesObject;
  policy: Policy;
  value: unknown;
  hold: Hold | undefined;
}
export type Step = { done: Effect } | { operations: JsonPatchOperation[]; text: string };

/**
 * Holds the owner for this run, or with an undo lets it go.
 * @throws PlanStale where it is not as the plan found it, or somebody has let it go since, and as
 *   assertMayUndo does.
 */
export async function holdOwner(clusters: Clusters, mandate: OwnerMandate): Promise<Effect> {
  const { undo, run } = mandate;
  await assertMayUndo(mandate, () => compareProtected(clusters, mandate));
  return undo
    ? patchOwner(clusters, mandate, (seen) => letGo(mandate.change.target, seen, isReasonOf(run)))
    : patchOwner(clusters, mandate, (seen) => toHold(mandate, seen));
}

/** Whether the owner would put nothing back that this run has done. */
async function compareProtected(
  clusters: Clusters,
  { plan, run, change }: OwnerMandate,
): Promise<Comparison> {
  const { region } = change.target;
  const targets = plan.targets.filter(
    (target) => !isOwner(target) && isInCluster(target) && target.region === region,
  );
  const changed = await Promise.all(
    targets.map((target) => hasChanged(clusters.of(target.context), target, run)),
  );
  const names = targets.filter((_, index) => changed[index]).map(inWords);
  return {
    beforeIsHealthier: names.length === 0,
    nothingToUndo: false,
    text: `it would put its own version of ${names.join(', ')} back`,
  };
}

/** What holds the owner for the mandate's run. */
function toHold(mandate: OwnerMandate, { object, policy, value, hold }: Seen): Step {
  const { change, run } = mandate;
  const what = inWords(change.target);
  const isHeld = policy.isHeld(value);
  const wasOurs = standingChangesBy(object, run).includes(change.id);
  if (hold?.reasons.some(isReasonOf(run)) && isHeld) {
    return { done: { changed: true, text: `${what} is paused.` } };
  }
  if (wasOurs) {
    throw stale(
      `This run has paused ${what} before, and somebody has let it go since: find out who, and start a new run if it is still needed.`,
    );
  }
  const joins = hold !== undefined && isHeld;
  if (!joins && (change.before.held || asText(value) !== change.before[policy.field])) {
    throw stale(
      `${what} was changed after the plan was made (${policy.field} is ${asText(value) ?? 'not there'}): look at it, and start again if it is still needed.`,
    );
  }
  const reason = reasonOf(mandate);
  const next: Hold = joins
    ? { ...hold, reasons: [...hold.reasons, reason] }
    : { ...(value === undefined ? {} : { was: value }), reasons: [reason] };
  return {
    operations: [
      ...noteOperations(object, next),
      ...(joins ? [] : setValue(object, policy, policy.held(value))),
      ...(policy.also?.(object) ?? []),
    ],
    text: joins
      ? `${what} was paused already, by ${hold.reasons[0]?.workflowId}, and is now held for this run too.`
      : `${what} is paused.`,
  };
}

/**
 * What ends a hold for some of its reasons; puts back what was there where none is left.
 * @param isOver which reasons do not count any more
 */
export function letGo(
  target: Target,
  { object, policy, value, hold }: Seen,
  isOver: (reason: Reason) => boolean,
): Step {
  const what = inWords(target);
  if (!hold?.reasons.some(isOver)) {
    return { done: { changed: false, text: `${what} is not held any more.` } };
  }
  const reasons = hold.reasons.filter((reason) => !isOver(reason));
  if (reasons.length > 0 && policy.isHeld(value)) {
    return {
      operations: noteOperations(object, { ...hold, reasons }),
      text: `${what} stays paused: ${reasons[0]?.workflowId} needs it too.`,
    };
  }
  if (!policy.isHeld(value)) {
    return {
      operations: forgetOperations(object),
      text: `Somebody has changed ${policy.field} of ${what} meanwhile, and that stays as it is.`,
    };
  }
  return {
    operations: [
      ...setValue(object, policy, policy.released(value, hold.was)),
      ...forgetOperations(object),
    ],
    text: `${what} is as it was before.`,
  };
}

/** Reads the owner, patches what was read and nothing else, and looks again where it has changed. */
export async function patchOwner(
  clusters: Clusters,
  mandate: OwnerMandate,
  stepOf: (seen: Seen) => Step,
): Promise<Effect> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  for (let attempt = 1; ; attempt++) {
    const seen = await readOwner(cluster, target);
    const step = stepOf(seen);
    if ('done' in step) {
      // An earlier attempt may not have lived to do this.
      if (!seen.hold) await giveUpFields(cluster, target, seen.object);
      return step.done;
    }
    const { metadata } = seen.object;
    try {
      const patched = await cluster.patch<KubernetesObject>(pathOf(target), [
        { op: 'test', path: '/metadata/uid', value: target.uid },
        { op: 'test', path: '/metadata/resourceVersion', value: metadata?.resourceVersion },
        ...markOperations(seen.object, mandate),
        ...step.operations,
      ]);
      if (!holdOf(patched)) await giveUpFields(cluster, target, patched);
      return { changed: true, text: step.text };
    } catch (error) {
      // A `test` failed, so the object changed since it was read: read again and look.
      if (!isRace(error) || attempt === attempts) throw error;
    }
  }
}

/** @throws PlanStale where it is gone. */
async function readOwner(cluster: Cluster, target: Target): Promise<Seen> {
  const policy = policyOf(target.kind);
  if (!policy) throw refused(`A ${target.kind} cannot be held.`);
  const object = await readTarget(cluster, target);
  return { object, policy, value: valueOf(object, policy), hold: holdOf(object) };
}

function pathOf({ kind, namespace, name }: Target): string {
  return objectPath(kind, namespace, name);
}

/** Why the mandate's run needs the owner held. */
export function reasonOf({ run, authority, plan, change }: OwnerMandate): Reason {
  const { through } = change.after;
  return {
    ...run,
    by: askedBy(authority),
    at: new Date().toISOString(),
    ...(typeof through === 'string' ? { through } : {}),
    protects: plan.targets.filter((target) => !isOwner(target)),
  };
}
