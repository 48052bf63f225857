import { cleanTemplate, type PodTemplate } from './templates.ts';

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
      if (shownValues.test(place)) return `${place}: ${shown(old)} -> ${shown(now)}`;
      if (old === undefined) return `${place}: added`;
      return now === undefined ? `${place}: removed` : `${place}: changed`;
    });
  if (lines.length <= mostDifferences) return lines;
  return [...lines.slice(0, mostDifferences), `and ${lines.length - mostDifferences} more`];
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
