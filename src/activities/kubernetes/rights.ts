/**
 * What the activities of each kind of change cannot do without; deploy/kubernetes-role.yaml and, for
 * Secrets, deploy/kubernetes-role-helm.yaml grant it. What they only do better with, such as to wake a
 * controller that backs off, is not here, nor what the plan itself has proven, such as commands in pods.
 */
import type { Change, TargetKind } from '../../contract/plan.ts';
import { rolloutChangeKind } from '../argo-rollouts/plan-rollout.ts';
import { abortChangeKind } from '../argo-rollouts/abort-change.ts';
import { ownerChangeKinds } from '../owners/policy.ts';
import type { Right } from './access.ts';
import { resourceOf } from './objects.ts';

interface Needs {
  /** Verbs on the object itself; with those that take the change back. */
  own: readonly string[];
  beside?: readonly Right[];
}

const watchPods: Right = { verb: 'watch', group: '', resource: 'pods' };
const deletePods: Right = { verb: 'delete', group: '', resource: 'pods' };
const watchEndpoints: Right = {
  ...{ verb: 'watch', group: 'discovery.k8s.io', resource: 'endpointslices' },
};
const patchRolloutStatus: Right = {
  ...{ verb: 'patch', group: 'argoproj.io', resource: 'rollouts', subresource: 'status' },
};

const patched: Needs = { own: ['patch'] };
const deleted: Needs = { own: ['delete'] };
const rolledOut: Needs = { own: ['patch', 'watch'], beside: [watchPods] };
const switched: Needs = { own: ['patch'], beside: [watchEndpoints, watchPods] };
const rollout: Needs = { own: ['patch', 'watch'], beside: [patchRolloutStatus] };

const needs: Record<string, Needs> = {
  'deployment/template': rolledOut,
  'deployment/replicas': rolledOut,
  'deployment/restart': rolledOut,
  'deployment/delete': deleted,
  'statefulset/template': { own: ['patch', 'watch'], beside: [watchPods, deletePods] },
  'statefulset/state': patched,
  'statefulset/restart': rolledOut,
  'service/selector': switched,
  'service/stop': switched,
  'service/resume': switched,
  'configmap/open-breaker': patched,
  'configmap/close-breaker': patched,
  'ingress/backends': patched,
  'ingress/extra': { own: ['create', 'delete'] },
  'virtualservice/routes': patched,
  'httproute/routes': patched,
  'destinationrule/delete': deleted,
  [rolloutChangeKind]: rollout,
  [abortChangeKind]: rollout,
  [ownerChangeKinds.hold]: patched,
  [ownerChangeKinds.release]: patched,
  'helm/release': { own: ['patch', 'create'] },
};

/** The rights that a kind of change needs, of objects that are of this kind. */
export function rightsFor(change: string, target: TargetKind): Right[] {
  const { own, beside } = needs[change] ?? { own: [] };
  return [...rightsOn(target, ...own), ...(beside ?? [])];
}

/** These verbs on objects of a kind. */
export function rightsOn(target: TargetKind, ...verbs: string[]): Right[] {
  const [resource = '', ...group] = resourceOf(target).split('.');
  return verbs.map((verb) => ({ verb, group: group.join('.'), resource }));
}

/** The rights that a change of an object in a cluster needs, of that very object. */
export function rightsOf({ kind, target, after }: Change): Right[] {
  const [own = ''] = resourceOf(target.kind).split('.');
  return rightsFor(kind, target.kind).map((right) => {
    // Nobody is granted to create one name; a Helm release is Secrets of other names.
    const isNamed = right.verb !== 'create' && target.kind !== 'helm-release';
    if (right.resource === own && isNamed) return { ...right, name: target.name };
    // One of the pods that may have to go, for a role that names them.
    if (right === deletePods) return { ...right, name: `${target.name}-${after.fromOrdinal}` };
    return right;
  });
}
