/** A StatefulSet with the ControllerRevisions that are its history. */
import type { V1ControllerRevision, V1StatefulSet } from '@kubernetes/client-node';
import type { Cluster, ListOf, Wire } from '../api.ts';
import { selectorOf } from '../deployment/revisions.ts';
import { isOwnedBy, objectPath } from '../objects.ts';
import { type PodTemplate, templateDigest, versionDigest } from '../templates.ts';
import type { WorkloadRevision } from '../versions.ts';

export type StatefulSet = Wire<V1StatefulSet>;

/** What the controller records of a StatefulSet: a patch that puts its template back. */
export type ControllerRevision = Omit<Wire<V1ControllerRevision>, 'data'> & {
  data?: { spec?: { template?: PodTemplate & { $patch?: string } } };
};

/** One entry of `kubectl rollout history`. */
export interface StatefulSetRevision extends WorkloadRevision {
  /** Name of the ControllerRevision, which its pods carry in `controller-revision-hash`. */
  name: string;
  controllerRevision: ControllerRevision;
}

export interface StatefulSetHistory {
  statefulSet: StatefulSet;
  /** SHA-256 of the StatefulSet's current template. */
  template: string;
  /** Newest first. */
  revisions: StatefulSetRevision[];
  /** The revision that the current template is; none until the controller has seen it. */
  current: StatefulSetRevision | undefined;
}

/** Reads a StatefulSet's revisions; undefined where there is no such StatefulSet. */
export async function readStatefulSetHistory(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<StatefulSetHistory | undefined> {
  const statefulSet = await cluster.find<StatefulSet>(objectPath('statefulset', namespace, name));
  return statefulSet && historyOf(cluster, statefulSet);
}

/** The history of a StatefulSet that was read. */
export async function historyOf(
  cluster: Cluster,
  statefulSet: StatefulSet,
): Promise<StatefulSetHistory> {
  const { items } = await cluster.get<ListOf<ControllerRevision>>(
    `/apis/apps/v1/namespaces/${statefulSet.metadata?.namespace}/controllerrevisions`,
    { labelSelector: selectorOf(statefulSet) },
  );
  const uid = statefulSet.metadata?.uid;
  const template = digestOf(statefulSet.spec?.template);
  const revisions = items
    .filter((controllerRevision) => isOwnedBy(controllerRevision, uid))
    .map((controllerRevision) => ({
      revision: controllerRevision.revision,
      name: controllerRevision.metadata?.name ?? '',
      controllerRevision,
      template: digestOf(templateOf(controllerRevision)),
      version: digestOf(templateOf(controllerRevision), versionDigest),
    }))
    .sort((one, other) => other.revision - one.revision);
  const current = revisions.find((entry) => entry.template === template);
  return { statefulSet, template, revisions, current };
}

/** The pod template that a revision recorded, field by field. */
export function templateOf({ data }: ControllerRevision): PodTemplate {
  const { $patch: _directive, ...template } = data?.spec?.template ?? {};
  return template;
}

/** SHA-256 of a template. Older controllers record a time that a template never has, as null. */
export function digestOf(template: PodTemplate | undefined, digest = templateDigest): string {
  const { creationTimestamp, ...metadata } = template?.metadata ?? {};
  const known = creationTimestamp ? { creationTimestamp, ...metadata } : metadata;
  return digest({ ...template, metadata: known });
}
