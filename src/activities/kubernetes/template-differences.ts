import { bounded, placeDifferences } from './place-differences.ts';
import { cleanTemplate, type PodTemplate } from './templates.ts';

const mostDifferences = 20;
const shownValues = /(^|\.)(image|resources\.(requests|limits)\.[^.]+)$/;

/**
 * What differs between two pod templates, a line each and at most twenty: values of images and
 * resources, places only of everything else.
 */
export function templateDifferences(from: PodTemplate, to: PodTemplate): string[] {
  const lines = placeDifferences(cleanTemplate(from), cleanTemplate(to), shownValues);
  return bounded(lines, mostDifferences);
}
