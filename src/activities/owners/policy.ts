/** What makes an owner act by itself: one field of its object, and what that is while it is held. */
import canonicalize from 'canonicalize';
import type { Change, Mandate, Target } from '../../contract/plan.ts';
import type { JsonPatchOperation } from '../kubernetes/api.ts';
import { type KubernetesObject, pointerToken } from '../kubernetes/objects.ts';

export interface Policy {
  /** Name of the field, as plans show it. */
  field: string;
  /** Where it stands, as keys from the top of the object. */
  path: readonly string[];
  isHeld(value: unknown): boolean;
  /** What the field is while held, from what it was; undefined where it is not there then. */
  held(value: unknown): unknown;
  /**
   * What the field is after a hold, from what it is and what it was before.
   * @param value is held
   */
  released(value: unknown, was: unknown): unknown;
  /** What else holding asks for, such as the end of what is under way. */
  also?(object: KubernetesObject): JsonPatchOperation[];
}

/** A field that is a certain value while its object is held: undefined stands for "not there". */
export function fieldPolicy(path: readonly string[], whileHeld: unknown): Policy {
  return {
    field: path.at(-1) ?? '',
    path,
    isHeld: (value) => value === whileHeld,
    held: () => whileHeld,
    released: (_, was) => was,
  };
}

/**
 * Where an owner stands, for plans: its field as canonical JSON under the field's name, or null where
 * it is not there; whether a run holds it; and the owner on whose account, where it is not its own.
 */
export type OwnerState = Readonly<Record<string, string | boolean | null>> & { held: boolean };
export type OwnerChange = Change<OwnerState, OwnerState>;
export type OwnerMandate = Mandate<OwnerChange>;

/** Kinds of changes of owners, as authority rules and workflows know them. */
export const ownerChangeKinds = { hold: 'owner/pause', release: 'owner/release' } as const;

/** The field's value; undefined where it is not there. */
export function valueOf(object: KubernetesObject, { path }: Policy): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<string, unknown> | undefined)?.[key],
    object,
  );
}

/** A value of a field as plans have it. */
export function asText(value: unknown): string | null {
  return value === undefined ? null : (canonicalize(value) ?? null);
}

/** Sets the field, with whatever it is in; or takes it away where `value` is undefined. */
export function setValue(
  object: KubernetesObject,
  policy: Policy,
  value: unknown,
): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  const pointer = (length: number) =>
    policy.path
      .slice(0, length)
      .map((key) => `/${pointerToken(key)}`)
      .join('');
  const whole = policy.path.length;
  if (value === undefined) {
    if (valueOf(object, policy) === undefined) return [];
    return [{ op: 'remove', path: pointer(whole) }];
  }
  for (let length = 1; length < whole; length++) {
    const parent = { ...policy, path: policy.path.slice(0, length) };
    if (valueOf(object, parent) === undefined) {
      operations.push({ op: 'add', path: pointer(length), value: {} });
    }
  }
  return [...operations, { op: 'add', path: pointer(whole), value }];
}

/** Id of the change that holds an owner. */
export function holdId({ kind, namespace, name }: Omit<Target, 'uid' | 'context'>): string {
  return `owner:${kind}/${namespace}/${name}`;
}
