/** Single values of an object by JSON pointer (RFC 6901), flat as plans have them. */
import { hashOf } from '../../contract/digest.ts';
import type { JsonPatchOperation } from './api.ts';

/** Values by their pointers; null for what is not there. */
export type Fields = Readonly<Record<string, string | number | boolean | null>>;

/** The value at a pointer; one that is not flat counts by its hash, which no plan has. */
function valueAt(object: unknown, pointer: string): Fields[string] {
  const value = lookUp(object, pointer);
  if (value === undefined || value === null) return null;
  return typeof value === 'object' ? hashOf(value) : (value as string | number | boolean);
}

/** The values at these pointers. */
export function fieldsAt(object: unknown, pointers: readonly string[]): Fields {
  return Object.fromEntries(pointers.map((pointer) => [pointer, valueAt(object, pointer)]));
}

/** What makes the values of an object so, each behind a test of the value that it replaces. */
export function fieldOperations(object: unknown, to: Fields): JsonPatchOperation[] {
  return Object.entries(to).flatMap(([pointer, value]) =>
    fieldPatch(pointer, valueAt(object, pointer), value),
  );
}

/** Objects that hold one value and nothing else: they come and go with it. */
const holdersOfOne = /^(.*\/(?:mirrorPercentage|percentage))\/value$/;

/** Makes one value another, where it is what it was. */
export function fieldPatch(
  pointer: string,
  from: Fields[string],
  to: Fields[string],
): JsonPatchOperation[] {
  if (from === to) return [];
  const holder = holdersOfOne.exec(pointer)?.[1];
  if (from === null) {
    return [
      holder === undefined
        ? { op: 'add', path: pointer, value: to }
        : { op: 'add', path: holder, value: { value: to } },
    ];
  }
  const test = { op: 'test', path: pointer, value: from } as const;
  if (to !== null) return [test, { op: 'replace', path: pointer, value: to }];
  return [test, { op: 'remove', path: holder ?? pointer }];
}

/** A pointer as people write it: `http[0].route[1].weight`. */
export function pointerInWords(pointer: string): string {
  return pointer
    .replace(/^\/spec\//, '')
    .replace(/\/(\d+)(?=\/|$)/g, '[$1]')
    .replaceAll('/', '.');
}

function lookUp(object: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}
