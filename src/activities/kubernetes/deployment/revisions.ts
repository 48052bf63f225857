/** A Deployment with the ReplicaSets that are its history. */
import type { V1Deployment, V1LabelSelector, V1ReplicaSet } from '@kubernetes/client-node';
import type { Cluster, ListOf, Wire } from '../api.ts';
import { isOwnedBy, objectPath } from '../objects.ts';
import { templateDigest, templateHashLabel, versionDigest } from '../templates.ts';
import type { WorkloadRevision } from '../versions.ts';

export type Deployment = Wire<V1Deployment>;
export type ReplicaSet = Wire<V1ReplicaSet>;

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
export const changeCauseAnnotation = 'kubernetes.io/change-cause';

/** One entry of `kubectl rollout history`; digests are without the controller's own label. */
export interface Revision extends WorkloadRevision {
  replicaSet: ReplicaSet;
}

export interface RevisionHistory {
  deployment: Deployment;
  /** SHA-256 of the Deployment's current template. */
  template: string;
  /** Newest first. */
  revisions: Revision[];
  /** The revision that the current template is; none until the controller has seen it. */
  current: Revision | undefined;
}

export function deploymentPath(namespace: string, name: string): string {
  return objectPath('deployment', namespace, name);
}

/** Reads a Deployment's revisions; undefined where there is no such Deployment. */
export async function readHistory(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<RevisionHistory | undefined> {
  const deployment = await cluster.find<Deployment>(deploymentPath(namespace, name));
  if (!deployment) return undefined;
  return historyOf(deployment, await readReplicaSets(cluster, deployment));
}

/** The ReplicaSets that a Deployment owns. */
export async function readReplicaSets(
  cluster: Cluster,
  deployment: Deployment,
): Promise<ReplicaSet[]> {
  const { items } = await cluster.get<ListOf<ReplicaSet>>(
    `/apis/apps/v1/namespaces/${deployment.metadata?.namespace}/replicasets`,
    { labelSelector: selectorOf(deployment) },
  );
  return items.filter((set) => isOwnedBy(set, deployment.metadata?.uid));
}

/** Orders the ReplicaSets of a Deployment into its history. */
function historyOf(deployment: Deployment, replicaSets: ReplicaSet[]): RevisionHistory {
  const template = templateDigest(deployment.spec?.template);
  const revisions = replicaSets
    .map((replicaSet) => ({
      replicaSet,
      revision: revisionOf(replicaSet),
      template: templateDigest(replicaSet.spec?.template),
      version: versionDigest(replicaSet.spec?.template),
    }))
    .filter(({ revision }) => revision > 0)
    .sort((one, other) => other.revision - one.revision);
  const current = revisions.find((entry) => entry.template === template);
  return { deployment, template, revisions, current };
}

function revisionOf(replicaSet: ReplicaSet): number {
  return Number.parseInt(replicaSet.metadata?.annotations?.[revisionAnnotation] ?? '0', 10) || 0;
}

/** Value of the label that every pod of this ReplicaSet carries. */
export function podTemplateHash(replicaSet: ReplicaSet): string {
  return replicaSet.metadata?.labels?.[templateHashLabel] ?? '';
}

/** Whatever has pods that a label selector finds. */
interface Workload {
  metadata?: unknown;
  spec?: { selector?: Wire<V1LabelSelector> };
}

/** The label selector of a workload's pods in the form of a query. */
export function selectorOf({ spec }: Workload): string {
  const { matchLabels = {}, matchExpressions = [] } = spec?.selector ?? {};
  const equals = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator.toLowerCase()} (${values.join(',')})`;
  });
  return [...equals, ...expressions].join(',');
}
