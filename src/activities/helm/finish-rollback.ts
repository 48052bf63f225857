/** What helm leaves behind where it was interrupted on its way. */
import type { Target } from '../../contract/plan.ts';
import { type Cluster, KubernetesError } from '../kubernetes/api.ts';
import { type KubernetesObject, objectPath } from '../kubernetes/objects.ts';
import { type KindOf, kindsIn } from './chart-kinds.ts';
import type { ManifestObject } from './manifest.ts';
import { attemptsAt, type RollbackNote } from './notes.ts';
import type { ReleaseHistory } from './releases.ts';

const keepPolicy = 'helm.sh/resource-policy';

/**
 * Removes what the revision that was left had and the one gone back to has not. Helm does so last of
 * all, and one that goes on after an interruption no longer knows of it: a workload of the bad version
 * would run on. Only what the cluster itself says belongs to this release, and is not to be kept.
 * @returns what was removed, in words
 */
export async function removeLeftovers(
  cluster: Cluster,
  { namespace, name }: Target,
  left: ReadonlyMap<string, ManifestObject>,
  now: ReadonlyMap<string, ManifestObject>,
): Promise<string[]> {
  const extra = [...left].filter(([key]) => !now.has(key)).map(([, object]) => object);
  const kindOf = kindsIn(cluster);
  const removed = await Promise.all(
    extra.map(async (object) => {
      const path = await pathOf(kindOf, object, namespace);
      const found = path && (await cluster.find<KubernetesObject>(path));
      if (!found || found.metadata?.deletionTimestamp) return undefined;
      const { annotations = {}, uid, resourceVersion } = found.metadata ?? {};
      const isOurs =
        annotations['meta.helm.sh/release-name'] === name &&
        annotations['meta.helm.sh/release-namespace'] === namespace;
      if (!isOurs || annotations[keepPolicy] === 'keep') return undefined;
      const isGone = await remove(cluster, path, { uid, resourceVersion });
      return isGone ? `${object.kind} ${object.metadata.name}` : undefined;
    }),
  );
  return removed.filter((words) => words !== undefined);
}

/** Undefined where the API server does not know its kind. */
async function pathOf(
  kindOf: KindOf,
  object: ManifestObject,
  namespace: string,
): Promise<string | undefined> {
  const kind = await kindOf(object);
  if (!kind) return undefined;
  const { api, resource, isNamespaced } = kind;
  const { name, namespace: own = namespace } = object.metadata;
  return isNamespaced
    ? `${api}/namespaces/${own}/${resource}/${name}`
    : `${api}/${resource}/${name}`;
}

/**
 * Takes away the revisions that this run's earlier attempts made and never finished: they have nothing
 * that the finished one has not, and one would be added each time helm is interrupted.
 * @param notes what the run has noted on the release
 */
export async function forgetUnfinished(
  cluster: Cluster,
  history: ReleaseHistory,
  notes: readonly RollbackNote[],
): Promise<void> {
  const [, ...earlier] = history.records;
  const unfinished = earlier.filter(({ status }) =>
    ['pending-rollback', 'failed'].includes(status),
  );
  await Promise.all(
    unfinished.map(async ({ revision, metadata }) => {
      if (!notes.some(({ from }) => revision > from)) return;
      const release = await history.revision(revision);
      if (!release || attemptsAt(notes, release).length === 0) return;
      const path = objectPath('helm-release', history.namespace, metadata?.name);
      await remove(cluster, path, { uid: metadata?.uid });
    }),
  );
}

/** False where it is gone already or has been changed since it was read. */
async function remove(
  cluster: Cluster,
  path: string,
  preconditions: { uid?: string; resourceVersion?: string },
): Promise<boolean> {
  try {
    await cluster.delete(path, preconditions);
    return true;
  } catch (error) {
    if (error instanceof KubernetesError && [404, 409].includes(error.status)) return false;
    throw error;
  }
}
