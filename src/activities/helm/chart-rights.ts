import { isDeepStrictEqual } from 'node:util';
import type { Plan, Target } from '../../contract/plan.ts';
import type { Clusters } from '../kubernetes/api.ts';
import type { PlacedRight } from '../kubernetes/forbidden.ts';
import { type KindOf, kindsIn } from './chart-kinds.ts';
import { rollbackHooks } from './hooks.ts';
import { type ManifestObject, parseManifest } from './manifest.ts';
import { leftOf, type ReleaseChange } from './release-change.ts';
import { readRelease, type Release } from './releases.ts';

/** An object of the chart, and what helm and the way back do to it. */
interface Handled {
  object: ManifestObject;
  verbs: readonly string[];
}

/**
 * The rights that helm needs on the objects of the chart for the planned rollback and its undo: without
 * one of them it would end half-way. None where a revision is gone, which its activity tells.
 */
export async function chartRights(
  clusters: Clusters,
  { changes }: Pick<Plan, 'changes'>,
): Promise<PlacedRight[]> {
  const change = changes.find(({ kind }) => kind === 'helm/release') as ReleaseChange | undefined;
  if (!change) return [];
  const { target, before, after } = change;
  const cluster = clusters.of(target.context);
  const [left, wanted] = await Promise.all(
    [leftOf(before), after].map(({ revision }) =>
      readRelease(cluster, target.namespace, target.name, revision),
    ),
  );
  if (!left || !wanted) return [];
  const handled = [...objectsOf(left, wanted, target), ...hooksOf(wanted, target)];
  const kindOf = kindsIn(cluster);
  const rights = await Promise.all(handled.map((one) => rightsOn(kindOf, target, one)));
  return rights.flat();
}

/** Helm 4 applies every object on the server; helm 3 sends only what differs. */
function objectsOf(left: Release, wanted: Release, { namespace }: Target): Handled[] {
  const from = parseManifest(left.manifest, namespace);
  const to = parseManifest(wanted.manifest, namespace);
  return [...new Map([...from, ...to])].flatMap(([key, object]): Handled[] => {
    const [old, now] = [from.get(key), to.get(key)];
    if (!old || !now) return [{ object, verbs: ['create', 'delete'] }];
    const isSent = wanted.isServerSide || !isDeepStrictEqual(old, now);
    return isSent ? [{ object, verbs: ['patch'] }] : [];
  });
}

/** Helm makes each anew, and takes away what is left of it from before. */
function hooksOf(wanted: Release, { namespace }: Target): Handled[] {
  return rollbackHooks(wanted).flatMap(({ manifest }) =>
    [...parseManifest(manifest, namespace).values()].map((object) => ({
      ...{ object, verbs: ['create', 'delete'] },
    })),
  );
}

async function rightsOn(
  kindOf: KindOf,
  { context, namespace }: Target,
  { object, verbs }: Handled,
): Promise<PlacedRight[]> {
  const kind = await kindOf(object);
  // One that a CustomResourceDefinition of the chart itself brings may not be there yet.
  if (!kind) return [];
  const { name, namespace: own = namespace } = object.metadata;
  const [, , group] = kind.api.startsWith('/apis/') ? kind.api.split('/') : [];
  return verbs.map((verb) => ({
    ...{ context, namespace: kind.isNamespaced ? own : '', isOfHelm: true },
    // Nobody is granted to create one name.
    right: {
      verb,
      group: group ?? '',
      resource: kind.resource,
      ...(verb === 'create' ? {} : { name }),
    },
  }));
}
