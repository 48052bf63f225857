import { stale } from '../failures.ts';
import type { Cluster, Clusters } from '../kubernetes/api.ts';
import { readHistory } from '../kubernetes/deployment/revisions.ts';
import { rolloutState } from '../kubernetes/deployment/rollout-state.ts';
import { inWords } from '../kubernetes/objects.ts';
import { type ManifestObject, parseManifest } from './manifest.ts';
import { isOf, makerOf, notesOf } from './notes.ts';
import { leftOf, type ReleaseMandate } from './release-change.ts';
import { ReleaseHistory } from './releases.ts';
import { migrations } from './hooks.ts';

/** Whether what was left is measurably healthier than what was gone back to. */
export interface Comparison {
  beforeIsHealthier: boolean;
  /** Whether what was left still stands, so that there is nothing to take back. */
  nothingToUndo: boolean;
  /** The figures, in words. */
  text: string;
}

/**
 * Compares the pods of the revision that was left and of the one gone back to, as they are now, over
 * the Deployments that differ between them. Before is healthier only where it has pods that serve and
 * after has none.
 */
export async function compareReleases(
  clusters: Clusters,
  mandate: ReleaseMandate,
): Promise<Comparison> {
  const { context, namespace, name } = mandate.change.target;
  const cluster = clusters.of(context);
  return compare(cluster, await ReleaseHistory.read(cluster, namespace, name), mandate);
}

/**
 * Putting a version back that was rolled back from needs a measured reason or a signed decision: the
 * guard has checked the signature.
 * @throws PlanStale
 */
export async function assertMayTakeBack(
  cluster: Cluster,
  history: ReleaseHistory,
  mandate: ReleaseMandate,
): Promise<void> {
  if (mandate.authority.abort !== undefined) return;
  const { beforeIsHealthier, text } = await compare(cluster, history, mandate);
  if (beforeIsHealthier) return;
  throw stale(
    `${inWords(mandate.change.target)} stays as it is: the version that was left is not healthier (${text}).`,
  );
}

async function compare(
  cluster: Cluster,
  history: ReleaseHistory,
  { change: { target, before, after }, run }: ReleaseMandate,
): Promise<Comparison> {
  const { revision } = leftOf(before);
  const [left, current] = await Promise.all([history.revision(revision), history.current()]);
  if (current?.revision === before.revision) {
    const text = 'nothing to take back: helm has made no new revision';
    return { beforeIsHealthier: true, nothingToUndo: true, text };
  }
  const kept = (text: string) => ({ beforeIsHealthier: false, nothingToUndo: false, text });
  const notes = notesOf(history.records).filter((note) => isOf(note, run));
  if (!left || !current || !makerOf(notes, current)) {
    return kept('it is not this run that made the newest revision');
  }
  const [hook] = migrations(left);
  if (hook) return kept(`going forward again would run hook ${hook.kind} ${hook.name}`);
  const manifests = [left, current].map(({ manifest }) =>
    parseManifest(manifest, target.namespace),
  );
  const [old = new Map(), now = new Map()] = manifests;
  const pods = await Promise.all(
    changedDeployments(old, now).map(({ metadata }) =>
      availableOf(cluster, metadata.namespace ?? target.namespace, metadata.name),
    ),
  );
  const sum = (key: 'before' | 'after') => pods.reduce((total, one) => total + one[key], 0);
  return {
    beforeIsHealthier: sum('before') > 0 && sum('after') === 0,
    nothingToUndo: false,
    text: `${sum('before')} available pods of revision ${revision}, which was left, ${sum('after')} of the content of revision ${after.revision}`,
  };
}

/** Deployments whose pods differ between two manifests. */
function changedDeployments(
  old: ReadonlyMap<string, ManifestObject>,
  now: ReadonlyMap<string, ManifestObject>,
): ManifestObject[] {
  return [...now].flatMap(([key, object]) => {
    const before = old.get(key);
    const isChanged =
      JSON.stringify(before?.spec?.template) !== JSON.stringify(object.spec?.template);
    return object.kind === 'Deployment' && before && isChanged ? [object] : [];
  });
}

/** Available pods of a Deployment's newest template, and of all before it. */
async function availableOf(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<{ before: number; after: number }> {
  const history = await readHistory(cluster, namespace, name);
  if (!history) return { before: 0, after: 0 };
  const { observed } = rolloutState(history.deployment);
  const of = (isCurrent: boolean) =>
    history.revisions
      .filter((entry) => (entry === history.current) === isCurrent)
      .reduce((sum, { replicaSet }) => sum + (replicaSet.status?.availableReplicas ?? 0), 0);
  return observed ? { before: of(false), after: of(true) } : { before: 0, after: 0 };
}
