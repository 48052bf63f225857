/** Objects of the Kubernetes API as targets of changes: where they are, and which run changed them. */
import type { V1ObjectMeta } from '@kubernetes/client-node';
import type { OutsideKind, RunIdentity, Target, TargetKind } from '../../contract/plan.ts';
import { stale } from '../failures.ts';
import type { Cluster, Wire } from './api.ts';

/** Any object, as far as all of them are alike. */
export interface KubernetesObject {
  /** Both are missing on the items of lists. */
  apiVersion?: string;
  kind?: string;
  metadata?: Wire<V1ObjectMeta>;
}

interface Kind {
  /** As people name it. */
  name: string;
  /**
   * `/apis/GROUP/VERSION` and the plural of its address; `served` stands for the version that the
   * server prefers.
   */
  api: string;
  plural: string;
}

/** Where objects of each kind of target are. */
const kinds: Record<Exclude<TargetKind, OutsideKind>, Kind> = {
  deployment: { name: 'Deployment', api: '/apis/apps/v1', plural: 'deployments' },
  statefulset: { name: 'StatefulSet', api: '/apis/apps/v1', plural: 'statefulsets' },
  configmap: { name: 'ConfigMap', api: '/api/v1', plural: 'configmaps' },
  ingress: { name: 'Ingress', api: '/apis/networking.k8s.io/v1', plural: 'ingresses' },
  service: { name: 'Service', api: '/api/v1', plural: 'services' },
  application: argo('Argo CD application', 'applications'),
  applicationset: argo('Argo CD ApplicationSet', 'applicationsets'),
  rollout: argo('Argo Rollout', 'rollouts'),
  kustomization: {
    name: 'Flux Kustomization',
    api: '/apis/kustomize.toolkit.fluxcd.io/v1',
    plural: 'kustomizations',
  },
  helmrelease: {
    name: 'Flux HelmRelease',
    api: '/apis/helm.toolkit.fluxcd.io/v2',
    plural: 'helmreleases',
  },
  canary: { name: 'Flagger canary', api: '/apis/flagger.app/v1beta1', plural: 'canaries' },
  virtualservice: {
    name: 'VirtualService',
    api: '/apis/networking.istio.io/served',
    plural: 'virtualservices',
  },
  destinationrule: {
    name: 'DestinationRule',
    api: '/apis/networking.istio.io/served',
    plural: 'destinationrules',
  },
  httproute: {
    name: 'HTTPRoute',
    api: '/apis/gateway.networking.k8s.io/served',
    plural: 'httproutes',
  },
  // Of many Secrets, one a revision: see src/activities/helm/releases.ts.
  'helm-release': { name: 'Helm release', api: '/api/v1', plural: 'secrets' },
};

function argo(name: string, plural: string): Kind {
  return { name, api: '/apis/argoproj.io/v1alpha1', plural };
}

/** How people name what is in no cluster. */
const outside: Record<OutsideKind, string> = {
  database: 'Database',
  cache: 'Cache',
  feature: 'Feature',
};

function kindOf(kind: TargetKind): Kind {
  if (kind in outside) throw new Error(`A ${kind} is no object of a cluster.`);
  return kinds[kind as keyof typeof kinds];
}

/** Whether the kind, as somebody has written it, is one that is known. */
export function isKnownKind(kind: string): kind is TargetKind {
  return Object.hasOwn(kinds, kind);
}

/** Path of all objects of a kind in a namespace, or of one of them. */
export function objectPath(kind: TargetKind, namespace: string, name?: string): string {
  const { api, plural } = kindOf(kind);
  const path = `${api}/namespaces/${namespace}/${plural}`;
  return name === undefined ? path : `${path}/${name}`;
}

/** Whether the object with this UID is its controller. */
export function isOwnedBy({ metadata }: KubernetesObject, uid: string | undefined): boolean {
  const owners = metadata?.ownerReferences ?? [];
  return owners.some((owner) => owner.controller === true && owner.uid === uid);
}

/** Whether its controller has seen the newest spec, so that its status speaks of that. */
export function isObserved({
  metadata,
  status,
}: KubernetesObject & { status?: { observedGeneration?: number } }): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);
}

/** A kind as kubectl knows it beyond doubt: `applications.argoproj.io`. */
export function resourceOf(kind: TargetKind): string {
  const { api, plural } = kindOf(kind);
  const [, group] = /^\/apis\/([^/]+)\//.exec(api) ?? [];
  return group === undefined ? plural : `${plural}.${group}`;
}

/** A target as a sentence names it: `Deployment wakala-api in production`, or `Database wakala`. */
export function inWords({ kind, namespace, name }: Omit<Target, 'uid' | 'context'>): string {
  if (kind in outside) return `${outside[kind as OutsideKind]} ${name}`;
  return `${kindOf(kind).name} ${name} in ${namespace}`;
}

/** An object as a list names it: `Deployment wakala-api`. */
export function kindAndName(kind: TargetKind, { metadata }: KubernetesObject): string {
  return `${kindOf(kind).name} ${metadata?.name}`;
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

export const markAnnotation = 'rollback-workflows/changed-by';

/**
 * What a run notes on every object that it changes: that it has begun, and which of its changes it
 * has made there, so that none is made again after somebody else has taken it back.
 */
export interface Mark extends RunIdentity {
  /** Ids of the run's changes of this object, in order. */
  changes: string[];
  /** Those of them that it has taken back. */
  undone?: string[];
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

/** Ids of this run's changes of the object that it has not taken back. */
export function standingChangesBy(object: KubernetesObject, run: RunIdentity): string[] {
  const undone = markOf(object)?.undone ?? [];
  return changesBy(object, run).filter((change) => !undone.includes(change));
}

/** The annotation with which this run notes its change of the object, or that it takes it back. */
export function markAfter(
  object: KubernetesObject,
  { workflowId, firstRunId }: RunIdentity,
  change: string,
  undo = false,
): { key: string; value: string } {
  const run = { workflowId, firstRunId };
  const earlier = changesBy(object, run);
  const changes = earlier.includes(change) ? earlier : [...earlier, change];
  const standing = standingChangesBy(object, run);
  const undone = changes.filter((id) => (id === change ? undo : !standing.includes(id)));
  const mark: Mark = {
    ...{ ...run, changes, at: new Date().toISOString() },
    ...(undone.length > 0 ? { undone } : {}),
  };
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
