/** Pod templates, which Deployments and StatefulSets have alike. */
import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import { hashOf } from '../../contract/digest.ts';
import type { Wire } from './api.ts';

export type PodTemplate = Wire<V1PodTemplateSpec>;

/** Label that the Deployment controller adds to a template for its ReplicaSet. */
export const templateHashLabel = 'pod-template-hash';

/** Annotation of a template whose change makes all pods start anew, as `kubectl rollout restart` sets it. */
export const restartedAnnotation = 'kubectl.kubernetes.io/restartedAt';

/** The pod template as the user wrote it: without the label that the controller adds. */
export function cleanTemplate(template: PodTemplate | undefined): PodTemplate {
  const { [templateHashLabel]: _hash, ...labels } = template?.metadata?.labels ?? {};
  return { ...template, metadata: { ...template?.metadata, labels } };
}

/** Two templates are the same revision exactly if their digests are equal. */
export function templateDigest(template: PodTemplate | undefined): string {
  return hashOf(cleanTemplate(template));
}

/** As `templateDigest`, of what runs: restarting it makes no difference. */
export function versionDigest(template: PodTemplate | undefined): string {
  const { [restartedAnnotation]: _at, ...annotations } = template?.metadata?.annotations ?? {};
  return templateDigest({ ...template, metadata: { ...template?.metadata, annotations } });
}

/** Images of a template, in the order of its containers. */
export function imagesOf(template: PodTemplate | undefined): string[] {
  return (template?.spec?.containers ?? []).map(({ image }) => image ?? '(none)');
}
