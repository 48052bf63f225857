import type { Target } from '../../contract/plan.ts';
import { refused } from '../failures.ts';
import type { Cluster, ListOf } from '../kubernetes/api.ts';
import type { ReplicaSet, Revision, RevisionHistory } from '../kubernetes/deployment/revisions.ts';
import type { DeploymentChange } from '../kubernetes/deployment/deployment-change.ts';
import { targetOf } from '../kubernetes/objects.ts';
import { imagesOf, type PodTemplate, templateDigest } from '../kubernetes/templates.ts';
import type { RolloutChange } from './rollout-change.ts';
import { isPromoted, type Rollout, rolloutHashLabel } from './rollout.ts';

/** Kind and id of the change that sees a Rollout through, of the Deployment's change `id`. */
export const rolloutChangeKind = 'argo-rollouts/promote';

/**
 * The revision of the Deployment that its Rollout is stable at, while a newer one is under way or was
 * aborted; undefined where the newest is promoted.
 */
export async function stableRevision(
  cluster: Cluster,
  rollout: Rollout,
  history: RevisionHistory,
): Promise<Revision | undefined> {
  const stable = rollout.status?.stableRS;
  if (stable === undefined || stable === '' || isPromoted(rollout)) return undefined;
  const { items } = await cluster.get<ListOf<ReplicaSet>>(
    `/apis/apps/v1/namespaces/${rollout.metadata?.namespace}/replicasets`,
    { labelSelector: `${rolloutHashLabel}=${stable}` },
  );
  const uid = rollout.metadata?.uid;
  const set = items.find(({ metadata }) =>
    metadata?.ownerReferences?.some((owner) => owner.uid === uid),
  );
  const template = set?.spec?.template;
  if (!template) return undefined;
  const digest = templateDigest(withoutHash(template));
  const images = imagesOf(template).join();
  return (
    history.revisions.find((revision) => revision.template === digest) ??
    // Argo Rollouts may have added to the template of its own ReplicaSet.
    history.revisions.find(
      ({ replicaSet }) => imagesOf(replicaSet.spec?.template).join() === images,
    )
  );
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [rolloutHashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/**
 * The change of the Rollout that follows the Deployment.
 * @throws Refused for one that is paused, unless it is to be resumed.
 */
export function rolloutChange(
  cluster: Cluster,
  rollout: Rollout,
  { before, after }: DeploymentChange,
  id: string,
  unpause: boolean,
): { change: RolloutChange; replicas: number; words: string } {
  const { spec, status } = rollout;
  const target: Target = targetOf('rollout', cluster, rollout);
  const isPaused = spec?.paused === true;
  if (isPaused && !unpause) {
    throw refused(
      `Rollout ${target.name} in ${target.namespace}, which runs the pods, is paused, and resuming it first would go on with the version that is left: add --unpause (unpause: true) to go back and resume after that.`,
    );
  }
  const change: RolloutChange = {
    ...{ id, kind: rolloutChangeKind, target },
    before: {
      template: before.template,
      promoted: isPromoted(rollout),
      aborted: status?.abort === true,
      paused: isPaused,
    },
    after: { template: after.template, promoted: true, aborted: false, paused: false },
  };
  return {
    change,
    replicas: spec?.replicas ?? 1,
    words: `Argo Rollouts (rollout ${target.name}) runs the pods and follows the template. It is not held, since that would keep it from going back: as soon as it has seen the template it is promoted in full, without its steps, pauses and analyses.`,
  };
}
