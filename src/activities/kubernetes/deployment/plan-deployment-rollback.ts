import type { LoadedSettings } from '../../../config/settings.ts';
import { findService } from '../../../config/services.ts';
import { digestPlan } from '../../../contract/digest.ts';
import { refused } from '../../failures.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Plan, PlannedCheck, Target } from '../../../contract/plan.ts';
import type { Settings } from '../../../config/schema.ts';
import type { Cluster, Clusters } from '../api.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import { configMapWarnings } from '../config-maps.ts';
import type { DeploymentChange } from './deployment-change.ts';
import { targetOf } from '../objects.ts';
import { findOwners } from '../owners.ts';
import { choosePace } from './pace.ts';
import { estimateSeconds, readPods, secondsSince } from '../pods.ts';
import { readHistory, type Revision, type RevisionHistory } from './revisions.ts';
import { imagesOf } from '../templates.ts';
import { isSurged, keptStrategy, standingRollback } from './annotations.ts';
import { Room } from './room.ts';
import { rolloutState } from './rollout-state.ts';
import { templateDifferences } from '../template-differences.ts';

/** A controller that has not seen the newest template yet needs a moment; more is said as a refusal. */
const observedWithinMs = 5000;

/** What a plan says about one Deployment. */
export interface DeploymentDraft {
  target: Target;
  /** Undefined where there is nothing to do. */
  change?: DeploymentChange;
  summary: string;
  differences: string[];
  warnings: string[];
  checks: PlannedCheck[];
  estimateSeconds: number;
}

export interface DeploymentWanted {
  namespace: string;
  name: string;
  /** Id of the change in the plan. */
  id: string;
  toRevision?: number;
  unpause?: boolean;
  pace: 'auto' | 'steady';
}

/**
 * Plans R3: which revision a Deployment goes back to, by ReplicaSet and template hash, at which
 * pace, and what people should know. Reads only; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planDeploymentRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  { deployment: name, toRevision, unpause, pace, ...input }: InputOf<'deployment'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const wanted = { namespace, name, id: 'deployment', toRevision, unpause, pace };
  const draft = await draftDeploymentRollback(new Room(cluster), cluster, settings, wanted);
  const { target, change, ...words } = draft;
  return digestPlan({
    procedure: 'deployment',
    targets: [target],
    changes: change ? [change] : [],
    ...words,
  });
}

/** As `planDeploymentRollback`, of one among several: they share the room for more pods. */
export async function draftDeploymentRollback(
  room: Room,
  cluster: Cluster,
  settings: Settings,
  { namespace, name, id, toRevision, unpause, pace: wantedPace }: DeploymentWanted,
): Promise<DeploymentDraft> {
  const history = await readObserved(cluster, namespace, name);
  const { deployment, current } = history;

  const paused = deployment.spec?.paused === true;
  if (paused && !unpause) {
    throw refused(
      `Deployment ${name} in ${namespace} is paused, and resuming it first would finish the rollout of the version that runs now: add --unpause (unpause: true) to go back and resume in one change.`,
    );
  }
  const wanted = chooseRevision(history, toRevision);
  const owners = await findOwners(cluster, deployment);
  if (owners.refusal) throw refused(owners.refusal);

  const already = wanted.template === history.template && !paused;
  const [serviceName, service] = findService(settings, { kind: 'deployment', namespace, name });
  const template = wanted.replicaSet.spec?.template ?? {};
  const [pace, pods, configWarnings] = await Promise.all([
    already
      ? { surge: false, why: '' }
      : choosePace(room, deployment, template, wantedPace, service),
    readPods(cluster, deployment),
    configMapWarnings(cluster, namespace, wanted.replicaSet),
  ]);

  const target = targetOf('deployment', cluster, deployment);
  const rest = already ? unfinished(history) : undefined;
  if (already && !rest) {
    const summary = standsThere(history, rest);
    return { target, summary, differences: [], warnings: [], checks: [], estimateSeconds: 0 };
  }
  const change: DeploymentChange = {
    id,
    kind: 'deployment/template',
    target,
    before: {
      revision: current?.revision ?? null,
      replicaSet: current?.replicaSet.metadata?.uid ?? null,
      template: history.template,
      paused,
    },
    after: {
      revision: wanted.revision,
      replicaSet: wanted.replicaSet.metadata?.uid ?? null,
      template: wanted.template,
      paused: false,
      surge: pace.surge,
    },
  };
  return {
    ...{ target, change },
    summary: already ? standsThere(history, rest) : goesBack(history, wanted),
    differences: templateDifferences(deployment.spec?.template ?? {}, template),
    warnings: already
      ? []
      : [...owners.warnings, ...statements(history, pace.why), ...ages(history), ...configWarnings],
    checks: already ? [] : plannedChecks(serviceName, service),
    estimateSeconds: estimateSeconds(deployment, pods, pace.surge),
  };
}

function goesBack({ deployment, current }: RevisionHistory, wanted: Revision): string {
  const { name, namespace } = deployment.metadata ?? {};
  const from = current ? `revision ${current.revision}` : 'its unreleased template';
  const images = [deployment.spec?.template, wanted.replicaSet.spec?.template]
    .map((template) => imagesOf(template).join(', '))
    .join(' -> ');
  return `Deployment ${name} in ${namespace} goes from ${from} back to revision ${wanted.revision}: ${images}, ${deployment.spec?.replicas ?? 1} replicas.`;
}

/** What an earlier run left to do though the template is right; undefined where it left nothing. */
function unfinished(history: RevisionHistory): string | undefined {
  const { deployment } = history;
  if (isSurged(deployment) && keptStrategy(deployment)) {
    return 'the rollout strategy that an earlier run left is put back';
  }
  const earlier = standingRollback(history);
  return earlier && !rolloutState(deployment).complete
    ? `the rollout that run ${earlier.run} began is seen through`
    : undefined;
}

function standsThere(history: RevisionHistory, rest: string | undefined): string {
  const { deployment, current } = history;
  const { name, namespace } = deployment.metadata ?? {};
  const earlier = standingRollback(history);
  const done = earlier
    ? `: run ${earlier.run} rolled it back from revision ${earlier.from.revision ?? 'unknown'} at ${earlier.at}; name a revision to go elsewhere`
    : ': nothing to do';
  const images = imagesOf(deployment.spec?.template).join(', ');
  return `Deployment ${name} in ${namespace} is already at revision ${current?.revision} (${images})${rest ? `; ${rest}` : done}.`;
}

/** Reads the history once the controller has seen the newest template. */
async function readObserved(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<RevisionHistory> {
  const giveUp = Date.now() + observedWithinMs;
  for (;;) {
    const history = await readHistory(cluster, namespace, name);
    if (!history) throw refused(await missing(cluster, namespace, name));
    const { metadata, spec, status } = history.deployment;
    const observed = (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);
    if (observed && (history.current || spec?.paused)) return history;
    if (Date.now() > giveUp) {
      throw refused(
        `The Deployment controller has not seen the newest template of ${name} in ${namespace} within ${observedWithinMs / 1000} s, so its revisions cannot be told apart: check the controller manager, then start again.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function missing(cluster: Cluster, namespace: string, name: string): Promise<string> {
  if (!(await cluster.find(`/api/v1/namespaces/${namespace}`))) {
    return `There is no namespace ${namespace} in context ${cluster.context}: name another with --namespace.`;
  }
  const { items } = await cluster.get<{ items: { metadata: { name: string } }[] }>(
    `/apis/apps/v1/namespaces/${namespace}/deployments`,
    { limit: 10 },
  );
  const names = items.map((item) => item.metadata.name).join(', ');
  return `There is no Deployment ${name} in namespace ${namespace}${names ? `: it has ${names}` : ', nor any other'}.`;
}

function chooseRevision(history: RevisionHistory, toRevision: number | undefined): Revision {
  const { name, namespace } = history.deployment.metadata ?? {};
  const numbers = history.revisions.map(({ revision }) => revision).reverse();
  const known = `known revisions: ${numbers.join(', ') || 'none'}`;
  if (toRevision !== undefined) {
    const found = history.revisions.find(({ revision }) => revision === toRevision);
    if (found) return found;
    throw refused(
      `Deployment ${name} in ${namespace} has no revision ${toRevision} (${known}): see rollback history deployment/${name} -n ${namespace}.`,
    );
  }
  // Going back twice must not bring the bad version back, as kubectl's "previous revision" would.
  if (history.current && standingRollback(history)) return history.current;
  const previous = history.revisions.find((entry) => entry !== history.current);
  if (previous) return previous;
  throw refused(
    `Deployment ${name} in ${namespace} has no earlier revision to go back to (${known}): deploy a good version, or raise revisionHistoryLimit for the next time.`,
  );
}

/** How old what runs now is: a rollback of something that has run well for days is likely a mistake. */
function ages({ deployment, current }: RevisionHistory): string[] {
  const age = secondsSince(current?.replicaSet.metadata?.creationTimestamp);
  const available = deployment.status?.availableReplicas ?? 0;
  const wanted = deployment.spec?.replicas ?? 1;
  if (age === undefined || age < 24 * 3600 || available < wanted) return [];
  return [
    `What runs now was made ${Math.floor(age / 86400)} days ago and all ${wanted} replicas are available: make sure that it is the version to leave.`,
  ];
}

/** What the rollback does not do, and how it rolls. */
function statements({ deployment, revisions }: RevisionHistory, pace: string): string[] {
  const lines = [pace];
  const { strategy, revisionHistoryLimit = 10 } = deployment.spec ?? {};
  if (strategy?.type === 'Recreate') {
    lines.push('The strategy is Recreate: all pods stop before the first new one starts.');
  }
  if (revisionHistoryLimit < 2 && revisions.length > revisionHistoryLimit) {
    lines.push(
      `revisionHistoryLimit is ${revisionHistoryLimit}: the version that is left may be gone from the history afterwards.`,
    );
  }
  if (deployment.metadata?.annotations?.['kubectl.kubernetes.io/last-applied-configuration']) {
    lines.push(
      'The manifest of the last kubectl apply stays recorded: applying it again brings the version back that is rolled back now.',
    );
  }
  lines.push('ConfigMaps, Secrets and the number of replicas stay as they are.');
  return lines;
}
