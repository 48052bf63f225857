/** What a plan says about a Deployment. */
import { versionStaysRecorded } from '../last-applied.ts';
import { secondsSince } from '../pods.ts';
import { imagesOf } from '../templates.ts';
import {
  isSurged,
  keptStrategy,
  nothingToDo,
  restoredRollback,
  rolledBackBy,
  standingRollback,
} from './annotations.ts';
import type { Revision, RevisionHistory } from './revisions.ts';
import { rolloutState } from './rollout-state.ts';

/** From which revision to which it goes. */
export function goesBack(
  { deployment, current }: RevisionHistory,
  wanted: Revision,
  replicas = deployment.spec?.replicas ?? 1,
): string {
  const { name, namespace } = deployment.metadata ?? {};
  const from = current ? `revision ${current.revision}` : 'its unreleased template';
  const images = [deployment.spec?.template, wanted.replicaSet.spec?.template]
    .map((template) => imagesOf(template).join(', '))
    .join(' -> ');
  return `Deployment ${name} in ${namespace} goes from ${from} back to revision ${wanted.revision}: ${images}, ${replicas} replicas.`;
}

/** What an earlier run left to do though the template is right; undefined where it left nothing. */
export function unfinished(history: RevisionHistory): string | undefined {
  const { deployment } = history;
  if (isSurged(deployment) && keptStrategy(deployment)) {
    return 'the rollout strategy that an earlier run left is put back';
  }
  const earlier = standingRollback(history);
  const isOpen = earlier?.givenUp !== undefined || !rolloutState(deployment).complete;
  return earlier && isOpen
    ? `the rollout that ${rolledBackBy(earlier)} began is seen through`
    : undefined;
}

/** That it stands there already, and what is still to do, if anything. */
export function standsThere(history: RevisionHistory, rest: string | undefined): string {
  const { deployment, current } = history;
  const { name, namespace } = deployment.metadata ?? {};
  const done = nothingToDo(standingRollback(history));
  const images = imagesOf(deployment.spec?.template).join(', ');
  return `Deployment ${name} in ${namespace} is already at revision ${current?.revision} (${images})${rest ? `; ${rest}` : done}.`;
}

/** How old what runs now is: a rollback of something that has run well for days is likely a mistake. */
export function ages({ deployment, current }: RevisionHistory): string[] {
  const age = secondsSince(current?.replicaSet.metadata?.creationTimestamp);
  const available = deployment.status?.availableReplicas ?? 0;
  const wanted = deployment.spec?.replicas ?? 1;
  if (age === undefined || age < 24 * 3600 || available < wanted) return [];
  return [
    `What runs now was made ${Math.floor(age / 86400)} days ago and all ${wanted} replicas are available: make sure that it is the version to leave.`,
  ];
}

/** By the controller: the numbers that a ReplicaSet had before its template was gone back to. */
const earlierNumbers = 'deployment.kubernetes.io/revision-history';

/** That what runs now was gone back to, by `kubectl rollout undo` say, from what is wanted now. */
export function leftBefore({ deployment, current }: RevisionHistory, wanted: Revision): string[] {
  const numbers = current?.replicaSet.metadata?.annotations?.[earlierNumbers] ?? '';
  const last = Number(numbers.split(',').at(-1));
  const isOwn = restoredRollback(deployment)?.undone === true;
  if (!current || numbers === '' || isOwn || wanted.revision < last) return [];
  return [
    `Revision ${current.revision}, which runs now, was revision ${last} before, so somebody has gone back to it since revision ${wanted.revision} was released: make sure that this is not the version that was left then.`,
  ];
}

/** What the rollback does not do, and how it rolls. */
export function statements({ deployment, revisions }: RevisionHistory, pace: string): string[] {
  const { strategy, revisionHistoryLimit = 10, replicas } = deployment.spec ?? {};
  const lines = replicas === 0 ? [] : [pace];
  if (strategy?.type === 'Recreate') {
    lines.push('The strategy is Recreate: all pods stop before the first new one starts.');
  }
  if (revisionHistoryLimit < 2 && revisions.length > revisionHistoryLimit) {
    lines.push(
      `revisionHistoryLimit is ${revisionHistoryLimit}: the version that is left may be gone from the history afterwards.`,
    );
  }
  lines.push(...versionStaysRecorded(deployment));
  lines.push('ConfigMaps, Secrets and the number of replicas stay as they are.');
  return lines;
}
