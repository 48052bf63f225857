import { findService } from '../../config/services.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { digestPlan } from '../../contract/digest.ts';
import type { InputOf } from '../../contract/input.ts';
import type { Change, Plan, Target } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { Cluster, Clusters } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { findReleaseOwners } from '../owners/find-owners.ts';
import { OwnerLookup } from '../owners/lookup.ts';
import { plannedChecks } from '../verification/planned-checks.ts';
import { isGood, lastDeployed, lastGood } from './choose-revision.ts';
import { migrations } from './hooks.ts';
import { imagesIn, manifestDifferences, parseManifest } from './manifest.ts';
import { makerOf, notesOf } from './notes.ts';
import type { ReleaseChange, ReleaseReference } from './release-change.ts';
import { releaseWarnings, type Ways } from './release-warnings.ts';
import { ReleaseHistory, type Release, releaseNames } from './releases.ts';
import { progressOf, readWorkloads } from './workloads.ts';

/** Helm's own work, and what pods usually need. */
const [helmSeconds, podSeconds] = [3, 10];

/**
 * Plans R4: which revision a Helm release goes back to, told by its content, and what people should
 * know. Reads only; needs neither Temporal nor helm.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planReleaseRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'helm'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const name = input.release;
  const [history, place] = await Promise.all([
    ReleaseHistory.read(cluster, namespace, name),
    cluster.find<KubernetesObject>(`/api/v1/namespaces/${namespace}`),
  ]);
  const current = await history.current();
  if (!place || !current) throw refused(await missing(cluster, namespace, name, place));
  assertFree(history, current, input.takeOver, settings.helm.abandonedAfter);
  const [wanted, deployed] = await Promise.all([
    choose(history, current, input.toRevision),
    lastDeployed(history),
  ]);
  // Where that is what it goes to, the pending one is all that differs from it.
  const left = deployed && deployed.content !== wanted.content ? deployed : current;

  const old = parseManifest(left.manifest, namespace);
  const now = parseManifest(wanted.manifest, namespace);
  const workloads = await readWorkloads(cluster, namespace, old);
  const [serviceName, service] = findService(settings, { kind: 'helm-release', namespace, name });
  // The release has no object of its own that stays: its lock is over all its revisions.
  const uid = place.metadata?.uid ?? '';
  const target: Target = { kind: 'helm-release', context: cluster.context, namespace, name, uid };
  const already = wanted.content === current.content && current.status === 'deployed';
  const changes = already
    ? []
    : changesOf(target, { current, left, wanted }, settings.helm.migrations);
  const images = [old, now].map(imagesIn);
  const lookup = new OwnerLookup(clusters, cluster, settings);
  const owners = already ? undefined : await findReleaseOwners(lookup, [...old.values()]);
  return digestPlan({
    procedure: 'helm',
    targets: [target, ...(owners?.targets ?? [])],
    changes: [...changes, ...(owners?.changes ?? [])],
    summary: already
      ? standsThere(history, current, workloads)
      : `Release ${name} in ${namespace} goes from revision ${inWords(left)}${left === current ? '' : `, over which revision ${inWords(current)} was begun and not finished,`} back to revision ${inWords(wanted)}: ${images.join(' -> ')}.`,
    differences: manifestDifferences(old, now),
    warnings: [
      ...(owners?.warnings ?? []),
      ...(already ? [] : await releaseWarnings(cluster, history, { current, left, wanted })),
    ],
    checks: already ? [] : plannedChecks(serviceName, service),
    estimateSeconds: already ? 0 : helmSeconds + podSeconds,
  });
}

/** Hooks that change data are a change of their own, for which the rules ask for a lead. */
function changesOf(
  target: Target,
  { current, left, wanted }: Ways,
  patterns: string[] | undefined,
): Change[] {
  const { revision: deployed, record: deployedRecord, content: deployedContent } = left;
  const change: ReleaseChange = {
    ...{ id: 'release', kind: 'helm/release', target },
    before: {
      ...referenceOf(current),
      ...(left === current ? {} : { deployed, deployedRecord, deployedContent }),
    },
    after: referenceOf(wanted),
  };
  const hooks = migrations(wanted, patterns).map(({ name }) => name);
  if (hooks.length === 0) return [change];
  const migration: Change = {
    ...{ id: 'migration', kind: 'helm/migration', target },
    before: { revision: current.revision },
    after: { revision: wanted.revision, hooks: hooks.join(', ') },
  };
  return [change, migration];
}

function referenceOf({ revision, record, content, status }: Release): ReleaseReference {
  return { revision, record, content, status };
}

function inWords({ revision, status, chart }: Release): string {
  const { name, version, appVersion } = chart;
  const state = isGood({ status }) ? '' : `${status}, `;
  return `${revision} (${state}${name}-${version}${appVersion ? `, app ${appVersion}` : ''})`;
}

/**
 * A pending release is one that helm works on at this moment, or one whose helm was killed; nothing
 * tells them apart but time. What a run of this project began is taken up by the next at once: the
 * lock keeps the first one's helm away.
 * @throws Refused
 */
function assertFree(
  history: ReleaseHistory,
  current: Release,
  takeOver: boolean,
  abandonedAfterMs: number,
): void {
  const { status, revision } = current;
  const { name, namespace, records } = history;
  if (status.startsWith('uninstall')) {
    throw refused(
      `Release ${name} in ${namespace} is ${status}: nothing of it runs that could go back; install it again.`,
    );
  }
  if (!status.startsWith('pending-') || takeOver || makerOf(notesOf(records), current)) return;
  const { creationTimestamp, labels } = records[0]?.metadata ?? {};
  const signs = [Date.parse(creationTimestamp ?? ''), Number(labels?.modifiedAt) * 1000];
  const ageMs = Date.now() - Math.max(...signs.filter((time) => !Number.isNaN(time)));
  if (ageMs >= abandonedAfterMs) return;
  throw refused(
    `Another helm is at work on release ${name} in ${namespace}: revision ${revision} is ${status} since ${Math.round(ageMs / 1000)} s. Wait until it has ended; if you know that it was killed, add --take-over (takeOver: true). Once it is ${abandonedAfterMs / 1000} s old it counts as dead.`,
  );
}

/** @throws Refused where there is no such revision, or none that is known to be good */
async function choose(
  history: ReleaseHistory,
  current: Release,
  toRevision: number | undefined,
): Promise<Release> {
  const what = `Release ${history.name} in ${history.namespace}`;
  const see = `see rollback history helm/${history.name} -n ${history.namespace}`;
  if (toRevision === undefined) {
    const choice = await lastGood(history);
    if (choice.kind === 'standing') return current;
    if (choice.kind === 'to') return choice.release;
    throw refused(
      `${what} has no earlier good revision with other content to go back to (it has ${history.inWords()}): ${see}; deploy a good version instead.`,
    );
  }
  const found = await history.revision(toRevision);
  if (!found) {
    throw refused(`${what} has no revision ${toRevision} (it has ${history.inWords()}): ${see}.`);
  }
  if (isGood(found)) return found;
  throw refused(
    `Revision ${toRevision} of ${what.toLowerCase()} is ${found.status}, which is nowhere to go back to (it has ${history.inWords()}): ${see}.`,
  );
}

/** Says who has rolled it back already, and that a second rollback would not restart any pod. */
function standsThere(
  { name, namespace, records }: ReleaseHistory,
  current: Release,
  workloads: Awaited<ReturnType<typeof readWorkloads>>,
): string {
  const note = makerOf(notesOf(records), current);
  const by = note
    ? `run ${note.workflowId} rolled it back from revision ${note.from} at ${note.at}; name a revision to go elsewhere`
    : current.isRollback
      ? `helm rolled it back to revision ${current.rolledBackTo} at ${current.updated}; name a revision to go elsewhere`
      : 'nothing to do';
  const unready = workloads.some(({ complete }) => !complete)
    ? ` Not all of it is available (${progressOf(workloads).text}), and helm restarts no pod where nothing changes: look at them with kubectl get pods -n ${namespace}, and restart them with kubectl rollout restart.`
    : '';
  return `Release ${name} in ${namespace} is already at revision ${inWords(current)}: ${by}.${unready}`;
}

async function missing(
  cluster: Cluster,
  namespace: string,
  name: string,
  place: KubernetesObject | undefined,
): Promise<string> {
  if (!place) {
    return `There is no namespace ${namespace} in context ${cluster.context}: name another with --namespace.`;
  }
  const names = await releaseNames(cluster, namespace);
  const others = names.length > 0 ? `it has ${names.join(', ')}` : 'it has none';
  return `There is no Helm release ${name} in namespace ${namespace}: ${others}. Only releases that Helm keeps in Secrets are found, as it does by default.`;
}
