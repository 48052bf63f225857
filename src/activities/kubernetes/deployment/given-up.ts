/**
 * Rollouts that a run was going to and gave up. What an interrupted run began is seen through by the next
 * one; but a run that was aborted, cancelled or has failed was stopped for a reason, which may be the
 * revision itself. The run notes that on the Deployment as it ends, beside what it restored. So it is known
 * where the plan is made, also without Temporal, and for as long as the rollout stands there; a run that was
 * terminated, has timed out or lost its workers for good cannot note anything, and needs no telling apart.
 */
import type { Effect } from '../../../contract/plan.ts';
import { shellWord } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import type { Cluster, Clusters, JsonPatchOperation } from '../api.ts';
import { annotationPointer } from '../objects.ts';
import { isRace, repeatOnRace } from '../race.ts';
import { templateDigest } from '../templates.ts';
import {
  type Restored,
  restoredAnnotation,
  restoredRollback,
  rolledBackBy,
  standingRollback,
} from './annotations.ts';
import type { DeploymentMandate } from './deployment-change.ts';
import { handBackDeployment } from './hand-back-deployment.ts';
import { type Deployment, deploymentPath, type RevisionHistory } from './revisions.ts';
import { rolloutState } from './rollout-state.ts';

/**
 * Hands the Deployment back where the run ends before its end, and notes that the rollout was given up
 * where it stands there and is not complete, whichever run began it: one that is complete may be the right
 * one, though another service or a check made the run fail. Safe to run any number of times.
 */
export async function giveUpRollout(
  clusters: Clusters,
  mandate: DeploymentMandate,
): Promise<Effect> {
  const { target, after } = mandate.change;
  const cluster = clusters.of(target.context);
  const { namespace, name, uid } = target;
  const noted = await repeatOnRace(async () => {
    const deployment = await cluster.find<Deployment>(deploymentPath(namespace, name));
    const note = deployment?.metadata?.uid === uid ? restoredRollback(deployment) : undefined;
    if (!deployment || !note || note.undone || note.givenUp) return false;
    const stands = templateDigest(deployment.spec?.template) === after.template;
    const isOfThis = stands && note.to.template === after.template;
    if (!isOfThis || rolloutState(deployment).complete) return false;
    await writeNote(cluster, deployment, { ...note, givenUp: new Date().toISOString() });
    return true;
  });
  const effect = await handBackDeployment(clusters, mandate);
  if (!noted) return effect;
  const words = `Noted on Deployment ${name} that its rollout was given up.`;
  return { changed: true, text: effect.changed ? `${words} ${effect.text}` : words };
}

/** Takes the note back of a rollout that was given up, where a run has seen it through after all. */
export async function takeUpRollout(cluster: Cluster, deployment: Deployment): Promise<void> {
  const note = restoredRollback(deployment);
  if (note?.givenUp === undefined) return;
  const { givenUp: _givenUp, ...rest } = note;
  try {
    await writeNote(cluster, deployment, rest);
  } catch (error) {
    // Somebody has written another note since.
    if (!isRace(error)) throw error;
  }
}

/**
 * Where a run gave up, one that names no revision must not go on; and it cannot choose another one, since
 * the version that was left, the one that was gone to and those before may each be the bad one.
 * @throws Refused with what may be named
 */
export function assertNotGivenUp(history: RevisionHistory): void {
  const { deployment, revisions, current } = history;
  const note = standingRollback(history);
  // Kubernetes itself may have seen it through since.
  if (!current || note?.givenUp === undefined || rolloutState(deployment).complete) return;
  const { name = '', namespace = '' } = deployment.metadata ?? {};
  const [now, from] = [current.revision, note.from.revision];
  const about = (revision: number) => {
    if (revision === now) return `${revision} (sees that rollout through)`;
    return revision === from ? `${revision} (what was left)` : `${revision}`;
  };
  const known = revisions.map(({ revision }) => about(revision)).reverse();
  const command = `rollback deployment ${shellWord(name)} -n ${shellWord(namespace)} --to-revision N`;
  throw refused(
    `Deployment ${name} in ${namespace} stands at revision ${now}, and the rollout to it, which ${rolledBackBy(note)} began, was given up at ${note.givenUp}: name where it is to go, with ${command}, of ${known.join(', ')}.`,
  );
}

async function writeNote(cluster: Cluster, deployment: Deployment, note: Restored): Promise<void> {
  const { namespace = '', name = '', uid, annotations } = deployment.metadata ?? {};
  const path = annotationPointer(restoredAnnotation);
  const operations: JsonPatchOperation[] = [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path, value: annotations?.[restoredAnnotation] },
    { op: 'replace', path, value: JSON.stringify(note) },
  ];
  await cluster.patch(deploymentPath(namespace, name), operations);
}
