/**
 * What differs between two objects, a line for each place: values only where `shownValues` matches
 * the place, since every other one could be a secret.
 */
export function placeDifferences(from: unknown, to: unknown, shownValues: RegExp): string[] {
  const before = flatten(from);
  const after = flatten(to);
  const places = [...new Set([...before.keys(), ...after.keys()])].sort();
  return places
    .filter((place) => before.get(place) !== after.get(place))
    .map((place) => {
      const [old, now] = [before.get(place), after.get(place)];
      if (shownValues.test(place)) return `${place}: ${shown(old)} -> ${shown(now)}`;
      if (old === undefined) return `${place}: added`;
      return now === undefined ? `${place}: removed` : `${place}: changed`;
    });
}

/** The first of the lines, and how many more there are. */
export function bounded(lines: string[], most: number): string[] {
  if (lines.length <= most) return lines;
  return [...lines.slice(0, most), `and ${lines.length - most} more`];
}

function shown(value: string | undefined): string {
  return value === undefined ? '(none)' : String(JSON.parse(value));
}

/** Leaves of an object by their place; items of a list go by their name where they have one. */
function flatten(
  value: unknown,
  place = '',
  into = new Map<string, string>(),
): Map<string, string> {
  if (value === undefined || value === null) return into;
  if (typeof value !== 'object') return into.set(place, JSON.stringify(value));
  for (const [key, item] of Object.entries(value)) {
    flatten(item, placeOf(place, key, item, Array.isArray(value)), into);
  }
  return into;
}

function placeOf(place: string, key: string, item: unknown, inList: boolean): string {
  if (!inList) return place === '' ? key : `${place}.${key}`;
  const { name } = (item ?? {}) as { name?: unknown };
  return `${place}[${typeof name === 'string' ? name : key}]`;
}
