import { rolloutChange } from '../../argo-rollouts/plan-rollout.ts';
import { findService } from '../../../config/services.ts';
import type { Settings } from '../../../config/schema.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan, PlannedCheck, Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { findOwners } from '../../owners/find-owners.ts';
import { OwnerLookup } from '../../owners/lookup.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Cluster, Clusters } from '../api.ts';
import { wasLeft } from '../left-revisions.ts';
import {
  type Chosen,
  chooseRevisions,
  readPrimary,
  revisionOfWatched,
} from './choose-revisions.ts';
import type { DeploymentChange } from './deployment-change.ts';
import { draftChange, type DraftChange } from './draft-change.ts';
import { atZeroWarnings } from './left-at-zero.ts';
import { ages, goesBack, leftBefore, standsThere, statements } from './plan-words.ts';
import { readObserved } from './read-observed.ts';
import type { RevisionHistory } from './revisions.ts';
import { Room } from './room.ts';

/** What a plan says about one Deployment. */
export interface DeploymentDraft {
  target: Target;
  /** Undefined where there is nothing to do. */
  change?: DeploymentChange;
  /** Of what serves in its stead: Flagger's copy, a Rollout. */
  companions: Change[];
  /** Of those who would bring back what is left, in the order in which they are held. */
  owners: Change[];
  summary: string;
  differences: string[];
  warnings: string[];
  checks: PlannedCheck[];
  estimateSeconds: number | null;
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

/** What all Deployments of a plan share. */
export interface Surroundings {
  cluster: Cluster;
  settings: Settings;
  room: Room;
  lookup: OwnerLookup;
}

export function surroundingsOf(
  clusters: Clusters,
  settings: Settings,
  context: string | undefined,
): Surroundings {
  const cluster = clusters.of(context);
  const lookup = new OwnerLookup(clusters, cluster, settings);
  return { cluster, settings, room: new Room(cluster), lookup };
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
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const wanted = { namespace, name, id: 'deployment', toRevision, unpause, pace };
  const draft = await draftDeploymentRollback(
    surroundingsOf(clusters, settings, input.context),
    wanted,
  );
  const { target, change, companions, owners, ...words } = draft;
  const changes: Change[] = change ? [change, ...companions, ...owners] : [];
  const targets = changes.length > 0 ? changes.map((one) => one.target) : [target];
  return digestPlan({ procedure: 'deployment', targets, changes, ...words });
}

/** As `planDeploymentRollback`, of one among several: they share the room for more pods. */
export async function draftDeploymentRollback(
  around: Surroundings,
  asked: DeploymentWanted,
): Promise<DeploymentDraft> {
  const { cluster, settings, lookup } = around;
  const { namespace, name, id, toRevision, unpause = false } = asked;
  const history = await readObserved(cluster, namespace, name);
  const { deployment } = history;
  assertMayResume(history, unpause);
  const owners = await findOwners(lookup, deployment);
  if (owners.refusal) throw refused(owners.refusal);
  const watched = owners.canary?.spec?.targetRef?.name ?? name;
  if (watched !== name) {
    const other = await readObserved(cluster, namespace, watched);
    const revision = revisionOfWatched(history, other, toRevision);
    return draftDeploymentRollback(around, { ...asked, name: watched, toRevision: revision });
  }
  const primary = owners.canary && (await readPrimary(cluster, deployment));
  const chosen = await chooseRevisions(cluster, toRevision, { ...owners, history, primary });

  const [serviceName, service] = findService(settings, { kind: 'deployment', namespace, name });
  const about = { ...around, service, pace: asked.pace };
  const [own, copy] = await Promise.all([
    draftChange(about, id, history, chosen.wanted),
    primary && chosen.copy && draftChange(about, `${id}:primary`, primary, chosen.copy),
  ]);
  if (copy) {
    copy.change.after.copyOf = name;
    if (deployment.spec?.replicas === 0) own.change.after.idle = true;
  }
  const rollout =
    owners.rollout && rolloutChange(cluster, owners.rollout, own.change, `${id}:rollout`, unpause);
  const { text, isAlready, isDone } = standing({ own, copy, rollout }, chosen);
  const target = own.change.target;
  const atZero = [history, ...(primary ? [primary] : [])].flatMap((each) =>
    atZeroWarnings(cluster, each.deployment),
  );
  if (isDone) {
    const nothing = { differences: [], warnings: atZero, checks: [], estimateSeconds: 0 };
    // Where nothing is changed, the summary is all that people are shown.
    const summary = [text, ...atZero].join(' ');
    return { target, companions: [], owners: [], summary, ...nothing };
  }
  // Where production has the version already, only what is analysed goes back.
  const moving = copy && !copy.already ? copy : own;
  const goesTo = moving === copy && chosen.copy ? chosen.copy : chosen.wanted;
  const words = [
    ...wasLeft(moving.history.deployment, moving.history, goesTo),
    ...(toRevision === undefined && moving === own ? leftBefore(history, chosen.wanted) : []),
    ...owners.warnings,
    ...(rollout ? [rollout.words] : []),
    ...chosen.warnings,
    ...statements(moving.history, moving.pace),
    ...ages(moving.history),
    ...moving.configWarnings,
  ];
  const measured = rollout?.change.id ?? (moving === copy ? copy.change.id : undefined);
  return {
    ...{ target, change: own.change, owners: owners.changes, summary: text },
    companions: [...(copy ? [copy.change] : []), ...(rollout ? [rollout.change] : [])],
    differences: moving.differences,
    warnings: [...atZero, ...(isAlready ? owners.warnings : words)],
    checks: isAlready ? [] : plannedChecks(serviceName, service, measured),
    estimateSeconds: moving.estimateSeconds,
  };
}

interface Drafted {
  own: DraftChange;
  copy: DraftChange | undefined;
  rollout: ReturnType<typeof rolloutChange> | undefined;
}

/** Whether all that serves has the wanted version already, and whether nothing at all is left to do. */
function standing(
  { own, copy, rollout }: Drafted,
  chosen: Chosen,
): { text: string; isAlready: boolean; isDone: boolean } {
  const serves = copy ?? own;
  const isThere = own.already && (copy?.already ?? true);
  const behind =
    rollout && !rollout.change.before.promoted
      ? `rollout ${rollout.change.target.name} is seen through`
      : undefined;
  const rest = own.rest ?? copy?.rest ?? behind;
  if (isThere) {
    return { text: standsThere(serves.history, rest), isAlready: true, isDone: rest === undefined };
  }
  const [moving, to] =
    own.already && copy && chosen.copy ? [copy, chosen.copy] : [own, chosen.wanted];
  const follows = moving === own && copy && !copy.already ? ` ${copyInWords(copy)}` : '';
  return {
    text: `${goesBack(moving.history, to, rollout?.replicas)}${follows}`,
    isAlready: false,
    isDone: false,
  };
}

function copyInWords({ history, change }: DraftChange): string {
  const { name } = history.deployment.metadata ?? {};
  return `Flagger's copy ${name}, which serves production, goes from revision ${change.before.revision} back to revision ${change.after.revision} with it.`;
}

/** @throws Refused for one that is paused, unless it is to be resumed. */
function assertMayResume({ deployment }: RevisionHistory, unpause: boolean): void {
  if (deployment.spec?.paused !== true || unpause) return;
  const { name, namespace } = deployment.metadata ?? {};
  throw refused(
    `Deployment ${name} in ${namespace} is paused, and resuming it first would finish the rollout of the version that runs now: add --unpause (unpause: true) to go back and resume in one change.`,
  );
}
