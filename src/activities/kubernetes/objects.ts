/** Objects of the Kubernetes API as targets of changes: where they are, and which run changed them. */
import type { V1ObjectMeta } from '@kubernetes/client-node';
import type { RunIdentity, Target, TargetKind } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Cluster, Wire } from './api.ts';

/** Any object, as far as all of them are alike. */
export interface KubernetesObject {
  metadata?: Wire<V1ObjectMeta>;
}

interface Kind {
  /** As people name it. */
  name: string;
  /** `/apis/GROUP/VERSION` and the plural of its address. */
  api: string;
  plural: string;
}

/** Where objects of each kind of target are. */
const kinds: Record<TargetKind, Kind> = {
  deployment: { name: 'Deployment', api: '/apis/apps/v1', plural: 'deployments' },
  statefulset: { name: 'StatefulSet', api: '/apis/apps/v1', plural: 'statefulsets' },
  configmap: { name: 'ConfigMap', api: '/api/v1', plural: 'configmaps' },
  ingress: { name: 'Ingress', api: '/apis/networking.k8s.io/v1', plural: 'ingresses' },
  service: { name: 'Service', api: '/api/v1', plural: 'services' },
};

/** Path of all objects of a kind in a namespace, or of one of them. */
export function objectPath(kind: TargetKind, namespace: string, name?: string): string {
  const { api, plural } = kinds[kind];
  const path = `${api}/namespaces/${namespace}/${plural}`;
  return name === undefined ? path : `${path}/${name}`;
}

/** A target as a sentence names it: `Deployment wakala-api in production`. */
export function inWords({ kind, namespace, name }: Omit<Target, 'uid' | 'context'>): string {
  return `${kinds[kind].name} ${name} in ${namespace}`;
}

/** The object as a target of a plan. */
export function targetOf(kind: TargetKind, cluster: Cluster, object: KubernetesObject): Target {
  const { namespace = '', name = '', uid = '' } = object.metadata ?? {};
  return { kind, context: cluster.context, namespace, name, uid };
}

/**
 * Reads a target by its UID.
 * @throws PlanStale where it is gone or another object has its name.
 */
export async function readTarget<T extends KubernetesObject>(
  cluster: Cluster,
  target: Target,
): Promise<T> {
  const { kind, namespace, name, uid } = target;
  const object = await cluster.find<T>(objectPath(kind, namespace, name));
  if (object?.metadata?.uid === uid) return object;
  const what = object ? 'deleted and made anew' : 'deleted';
  throw stale(
    `${inWords(target)} was ${what} after the plan was made: look at what stands there, and start again if it still needs a rollback.`,
  );
}

const markAnnotation = 'rollback-workflows/changed-by';

/**
 * What a run notes on every object that it changes: that it has begun, and which of its changes it
 * has made there, so that none is made again after somebody else has taken it back.
 */
export interface Mark extends RunIdentity {
  /** Ids of the run's changes of this object, in order. */
  changes: string[];
  /** ISO 8601. */
  at: string;
}

/** The mark of the last run that changed the object; undefined where there is none. */
export function markOf(object: KubernetesObject): Mark | undefined {
  return readAnnotation<Mark>(object, markAnnotation);
}

/** Ids of the changes of the object that this very run has made. */
export function changesBy(object: KubernetesObject, run: RunIdentity): string[] {
  const mark = markOf(object);
  const isOurs = mark?.workflowId === run.workflowId && mark.firstRunId === run.firstRunId;
  return isOurs ? mark.changes : [];
}

/** The annotation with which this run notes its change of the object. */
export function markAfter(
  object: KubernetesObject,
  { workflowId, firstRunId }: RunIdentity,
  change: string,
): { key: string; value: string } {
  const earlier = changesBy(object, { workflowId, firstRunId });
  const changes = earlier.includes(change) ? earlier : [...earlier, change];
  const mark: Mark = { workflowId, firstRunId, changes, at: new Date().toISOString() };
  return { key: markAnnotation, value: JSON.stringify(mark) };
}

/** Value of an annotation that holds JSON; undefined where there is none that can be read. */
export function readAnnotation<T>({ metadata }: KubernetesObject, key: string): T | undefined {
  try {
    return JSON.parse(metadata?.annotations?.[key] ?? '') as T;
  } catch {
    return undefined;
  }
}

/** `/metadata/annotations/...` of a JSON patch. */
export function annotationPointer(key: string): string {
  return `/metadata/annotations/${pointerToken(key)}`;
}

/** A key as a part of a JSON pointer (RFC 6901). */
export function pointerToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
