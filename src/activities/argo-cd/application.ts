/** Argo CD's Application: which one tracks an object, and what makes it sync by itself. */
import type { JsonPatchOperation } from '../kubernetes/api.ts';
import type { KubernetesObject } from '../kubernetes/objects.ts';
import { fieldPolicy, type Policy } from '../owners/policy.ts';

export interface Automated {
  prune?: boolean;
  selfHeal?: boolean;
  allowEmpty?: boolean;
  enabled?: boolean;
}

export interface Application extends KubernetesObject {
  spec?: { syncPolicy?: { automated?: Automated } };
  operation?: { initiatedBy?: { automated?: boolean } };
  status?: {
    sync?: { status?: string; revision?: string };
    operationState?: {
      phase?: string;
      operation?: { initiatedBy?: { automated?: boolean; username?: string } };
    };
    resources?: { kind?: string; namespace?: string; name?: string; status?: string }[];
  };
}

/**
 * Without `automated` neither a commit nor self-heal starts a sync (argo-cd, appcontroller.go,
 * autoSync). A sync that Argo CD has begun by itself would go on writing, and is ended as
 * `argocd app terminate-op` ends it; one that a person began is theirs.
 */
export const applicationPolicy: Policy = {
  ...fieldPolicy(['spec', 'syncPolicy', 'automated'], undefined),
  also: (object) => endOfSync(object),
};

function endOfSync({ operation, status }: Application): JsonPatchOperation[] {
  const state = status?.operationState;
  if (state?.phase === 'Running') {
    if (!state.operation?.initiatedBy?.automated) return [];
    return [{ op: 'replace', path: '/status/operationState/phase', value: 'Terminating' }];
  }
  return operation?.initiatedBy?.automated ? [{ op: 'remove', path: '/operation' }] : [];
}

/** Whether it syncs by itself now; `enabled` came with Argo CD 3.1. */
export function isAutomated({ spec }: Application): boolean {
  const automated = spec?.syncPolicy?.automated;
  return automated !== undefined && automated.enabled !== false;
}

/** What a plan should say about an Application before it is held; undefined for nothing. */
export function syncUnderWay({ metadata, status }: Application): string | undefined {
  const state = status?.operationState;
  if (state?.phase !== 'Running') return undefined;
  const { automated, username } = state.operation?.initiatedBy ?? {};
  return automated
    ? `A sync of application ${metadata?.name} that Argo CD has begun by itself is ended.`
    : `A sync of application ${metadata?.name} that ${username || 'somebody'} has begun is under way, and may write over the rollback: end it with argocd app terminate-op ${metadata?.name}.`;
}

/** Where the Application may be that an object names. */
export interface Tracking {
  namespace: string;
  name: string;
  /** Whether the label may also be somebody else's, so that the Application itself must confirm it. */
  isGuess: boolean;
}

const trackingAnnotation = 'argocd.argoproj.io/tracking-id';

/**
 * The Application that an object says it is of. An id that names another object was copied from it
 * and says nothing (argo-cd, isSelfReferencedObj).
 * @param defaultNamespace where Argo CD is installed; names of elsewhere are written `namespace_name`
 */
export function trackingOf(
  { apiVersion = '', kind, metadata }: KubernetesObject,
  defaultNamespace: string,
): Tracking | undefined {
  const { annotations = {}, labels = {}, namespace = '', name = '' } = metadata ?? {};
  const at = (instance: string, isGuess: boolean): Tracking => {
    const [first = '', second] = instance.split('_');
    return second === undefined
      ? { namespace: defaultNamespace, name: first, isGuess }
      : { namespace: first, name: second, isGuess };
  };
  const id = annotations[trackingAnnotation];
  if (id !== undefined) {
    const [instance = '', ofKind, place] = id.split(':');
    const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
    const isOwn = ofKind === `${group}/${kind}` && place === `${namespace}/${name}`;
    return isOwn ? at(instance, false) : undefined;
  }
  const label = labels['argocd.argoproj.io/instance'];
  if (label) return at(label, false);
  // Argo CD's default label is Helm's as well.
  const shared = labels['app.kubernetes.io/instance'];
  return shared ? at(shared, true) : undefined;
}

/** Whether the Application has the object among its resources. */
export function tracks(application: Application, object: KubernetesObject): boolean {
  const { name, namespace } = object.metadata ?? {};
  return (application.status?.resources ?? []).some(
    (resource) =>
      resource.kind === object.kind && resource.name === name && resource.namespace === namespace,
  );
}
