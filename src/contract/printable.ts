/**
 * Anything that comes from outside, fit for a terminal: what could move the cursor, hide text or
 * turn its direction is replaced. Objects are copied with all that is in them.
 */
export function printable<T>(value: T): T {
  if (typeof value === 'string') {
    return value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD') as T;
  }
  if (Array.isArray(value)) return value.map((item: unknown) => printable(item)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [printable(key), printable<unknown>(item)]),
  ) as T;
}

/** A number of things: `1 key`, `2 keys`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A word as a shell takes it; a workflow id may be anything. */
export function shellWord(text: string): string {
  const word = printable(text);
  return /^[\w.:@/+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A name as an identifier of SQL. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
