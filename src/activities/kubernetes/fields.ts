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

/**
 * What makes the values of an object so, each behind a test of the value that it replaces. An object
 * that would hold nothing else is added and removed with its value.
 */
export function fieldOperations(object: unknown, to: Fields): JsonPatchOperation[] {
  return Object.entries(to).flatMap(([path, value]): JsonPatchOperation[] => {
    const now = valueAt(object, path);
    if (now === value) return [];
    const parent = path.slice(0, path.lastIndexOf('/'));
    const holder = lookUp(object, parent) as object | undefined;
    const leaf = path.slice(parent.length + 1);
    if (now === null) {
      return [
        holder === undefined
          ? { op: 'add', path: parent, value: { [leaf]: value } }
          : { op: 'add', path, value },
      ];
    }
    const test = { op: 'test', path, value: now } as const;
    if (value !== null) return [test, { op: 'replace', path, value }];
    const isAlone = Object.keys(holder ?? {}).length === 1;
    return [test, { op: 'remove', path: isAlone ? parent : path }];
  });
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
