/** The manifest of a revision: what Helm has rendered, and applies as a whole. */
import { parseAllDocuments } from 'yaml';
import { bounded, placeDifferences } from '../kubernetes/place-differences.ts';
import type { PodTemplate } from '../kubernetes/templates.ts';

/** An object as a chart renders it. */
export interface ManifestObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: { template?: PodTemplate; [field: string]: unknown };
  [field: string]: unknown;
}

const mostDifferences = 30;
const mostImages = 5;
/** Fields of containers whose values may be shown, and no key of that name anywhere else. */
const shownValues = /ontainers\[[^\]]+\]\.(image|resources\.(requests|limits)\.[^.]+)$/;

/** The objects of a manifest by what tells them apart; those without a namespace are in `namespace`. */
export function parseManifest(manifest: string, namespace: string): Map<string, ManifestObject> {
  const documents = parseAllDocuments(manifest, { uniqueKeys: false, logLevel: 'silent' });
  const found = (Array.isArray(documents) ? documents : [])
    .map((document) => document.toJS() as Partial<ManifestObject> | null)
    .flatMap((object) =>
      object?.kind === 'List' ? (object.items as Partial<ManifestObject>[]) : [object],
    )
    .filter((object) => object?.kind && object.metadata?.name) as ManifestObject[];
  return new Map(found.map((object) => [keyOf(object, namespace), object]));
}

/** Group, kind, namespace and name: one object may be known under several versions of its group. */
function keyOf({ apiVersion = '', kind, metadata }: ManifestObject, namespace: string): string {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
  return [group, kind, metadata.namespace ?? namespace, metadata.name].join('/');
}

/**
 * What differs between two manifests, by object and place and at most thirty lines: values of images
 * and resources, places only of everything else, and of Secrets that they differ.
 */
export function manifestDifferences(
  from: ReadonlyMap<string, ManifestObject>,
  to: ReadonlyMap<string, ManifestObject>,
): string[] {
  const keys = [...new Set([...from.keys(), ...to.keys()])].sort();
  const lines = keys.flatMap((key) => {
    const [before, after] = [from.get(key), to.get(key)];
    const { kind, metadata } = (after ?? before) as ManifestObject;
    const object = `${kind} ${metadata.name}`;
    if (!before) return [`${object}: added`];
    if (!after) return [`${object}: removed`];
    const places = placeDifferences(before, after, shownValues);
    if (kind === 'Secret') return places.length > 0 ? [`${object}: changed`] : [];
    return places.map((line) => `${object}: ${line}`);
  });
  return bounded(lines, mostDifferences);
}

/** Images of the pods of a manifest in words, once each and at most five. */
export function imagesIn(manifest: ReadonlyMap<string, ManifestObject>): string {
  const images = [...manifest.values()].flatMap(({ spec }) =>
    (spec?.template?.spec?.containers ?? []).map(({ image }) => image ?? '(none)'),
  );
  return bounded([...new Set(images)], mostImages).join(', ') || 'no pods';
}
