import { cleanTemplate, type PodTemplate } from './revisions.ts';

const mostDifferences = 20;
/** Fields whose values may be shown; every other value could be a secret and only its place is told. */
const shownValues = /(^|\.)(image|resources\.(requests|limits)\.[^.]+)$/;

/**
 * What differs between two pod templates, a line each and at most twenty: values of images and
 * resources, places only of everything else.
 */
export function templateDifferences(from: PodTemplate, to: PodTemplate): string[] {
  const before = flatten(cleanTemplate(from));
  const after = flatten(cleanTemplate(to));
  const places = [...new Set([...before.keys(), ...after.keys()])].sort();
  const lines = places
    .filter((place) => before.get(place) !== after.get(place))
    .map((place) => {
      const [old, now] = [before.get(place), after.get(place)];
      if (shownValues.test(place)) return `${place}: ${old ?? '(none)'} -> ${now ?? '(none)'}`;
      if (old === undefined) return `${place}: added`;
      return now === undefined ? `${place}: removed` : `${place}: changed`;
    });
  if (lines.length <= mostDifferences) return lines;
  return [...lines.slice(0, mostDifferences), `and ${lines.length - mostDifferences} more`];
}

/** Leaves of an object by their place; items of a list go by their name where they have one. */
function flatten(value: unknown, place = '', into = new Map<string, string>()) {
  if (typeof value !== 'object' || value === null) {
    if (value !== undefined && value !== null) into.set(place, String(value));
    return into;
  }
  for (const [key, item] of Object.entries(value)) {
    const name = Array.isArray(value) && isNamed(item) ? `[${item.name}]` : key;
    const separator = place === '' || name.startsWith('[') ? '' : '.';
    if (name.startsWith('[') && key !== 'name') flatten({ ...item, name: undefined }, place + name, into);
    else flatten(item, place + separator + name, into);
  }
  return into;
}

function isNamed(item: unknown): item is { name: string } {
  return typeof item === 'object' && item !== null && typeof (item as { name?: unknown }).name === 'string';
}
