/**
 * What a hold notes on the owner's own object: what was there before, so that any later run can put
 * exactly that back, and for whom it is held. A label marks the object, so that it is found among
 * many.
 */
import type { RunIdentity, Target } from '../../contract/plan.ts';
import type { JsonPatchOperation } from '../kubernetes/api.ts';
import {
  annotationPointer,
  isKnownKind,
  type KubernetesObject,
  pointerToken,
  readAnnotation,
} from '../kubernetes/objects.ts';

export const heldAnnotation = 'rollback-workflows/held';
export const heldLabel = 'rollback-workflows/held';
export const heldLabelPointer = `/metadata/labels/${pointerToken(heldLabel)}`;

/** One run that needs the owner to be held. */
export interface Reason extends RunIdentity {
  /** Who asked for the run. */
  by: string;
  /** ISO 8601. */
  at: string;
  /** The owner on whose account this one is held, which it would put back: `application/argocd/shop`. */
  through?: string;
  /** What the run went back with, and the owner must leave alone. */
  protects: Target[];
}

export interface Hold {
  /** Value of the field before; absent where it was not there. */
  was?: unknown;
  reasons: Reason[];
}

/** The note of a hold; undefined where there is none that can be read. */
export function holdOf(object: KubernetesObject): Hold | undefined {
  const hold = readAnnotation<Partial<Hold>>(object, heldAnnotation);
  if (!Array.isArray(hold?.reasons) || hold.reasons.length === 0) return undefined;
  const reasons = hold.reasons.map((reason) => ({
    ...reason,
    protects: (reason.protects ?? []).filter(({ kind }) => isKnownKind(kind)),
  }));
  return { ...hold, reasons };
}

export function isReasonOf({ workflowId, firstRunId }: RunIdentity): (reason: Reason) => boolean {
  return (reason) => reason.workflowId === workflowId && reason.firstRunId === firstRunId;
}

/** Ids of the runs that hold it, as plans show them. */
export function holders({ reasons }: Hold): string {
  return reasons.map(({ workflowId }) => workflowId).join(', ');
}

/** Writes the note, for an object that has annotations. */
export function noteOperations(object: KubernetesObject, hold: Hold): JsonPatchOperation[] {
  const label: JsonPatchOperation[] = object.metadata?.labels
    ? [{ op: 'add', path: heldLabelPointer, value: 'true' }]
    : [{ op: 'add', path: '/metadata/labels', value: { [heldLabel]: 'true' } }];
  const value = JSON.stringify(hold);
  return [{ op: 'add', path: annotationPointer(heldAnnotation), value }, ...label];
}

/** Takes note and label away. */
export function forgetOperations({ metadata }: KubernetesObject): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  if (metadata?.annotations?.[heldAnnotation] !== undefined) {
    operations.push({ op: 'remove', path: annotationPointer(heldAnnotation) });
  }
  if (metadata?.labels?.[heldLabel] !== undefined) {
    operations.push({ op: 'remove', path: heldLabelPointer });
  }
  return operations;
}
