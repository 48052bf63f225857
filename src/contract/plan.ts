/**
 * A plan says exactly what a run will change, by reference only: identities, revisions and hashes,
 * never templates, manifests or secrets, which would fill and leak through workflow history.
 */

import type { Assessment, KnownKey, Need, StartAuthority, WaitSettings } from './authority.ts';

/** Kinds of what runs change; those of Kubernetes are found in its API by `objectPath`. */
export type TargetKind =
  | 'deployment'
  | 'statefulset'
  | 'service'
  | 'configmap'
  | 'ingress'
  | 'virtualservice'
  | 'destinationrule'
  | 'httproute'
  | 'helm-release'
  | 'rollout'
  | OwnerKind
  | OutsideKind;

/**
 * Kinds of what itself changes other objects and is held meanwhile: GitOps and progressive delivery. Several runs may hold
 * one at a time, each with a reason of its own, so none is locked; and where one stands says nothing
 * of the region that is changed, since Argo CD may be in a cluster of its own.
 */
export const ownerKinds = [
  'application',
  'applicationset',
  'kustomization',
  'helmrelease',
  'canary',
] as const;
export type OwnerKind = (typeof ownerKinds)[number];

/** Kinds of what is in no cluster. */
export const outsideKinds = ['database', 'cache', 'feature'] as const;
export type OutsideKind = (typeof outsideKinds)[number];

/** Something that a run changes, under the identity that its system gave it. */
export interface Target {
  kind: TargetKind;
  /** Name of the kubeconfig context that reaches the cluster; outside of clusters, host and port. */
  context: string;
  /** Outside of clusters, the name that the settings have for it. */
  namespace: string;
  name: string;
  /** Outside of clusters, identity of the server, however it is reached. */
  uid: string;
  /** Region that it is in, where the run was started for regions. */
  region?: string;
}

/** Flat on purpose: a reference that needs nesting is on its way to becoming contents. */
export type Reference = Readonly<Record<string, string | number | boolean | null>>;

export interface Change<Before extends Reference = Reference, After extends Reference = Reference> {
  /** Unique within the plan; procedures ask for a change by it. */
  id: string;
  /** What is changed, for example `deployment/template`; authority rules look at it. */
  kind: string;
  target: Target;
  before: Before;
  after: After;
}

export interface PlannedCheck {
  /** Name of the check in the settings, under its service. */
  service: string;
  check: 'health' | 'logs' | 'smoke';
  /** Id of the change whose effect it measures; the plan's first where it names none. */
  change?: string;
}

/** A region that a run was started for. */
export interface PlannedRegion {
  name: string;
  /** Queue of the worker there, where it has one of its own. */
  taskQueue?: string;
  /** Why it could not be planned, and so is not part of the plan. */
  unreachable?: string;
}

export interface Plan {
  procedure: string;
  targets: Target[];
  changes: Change[];
  /** SHA-256 of each change, in the order of `changes`. */
  changeHashes: string[];
  /** SHA-256 over targets and change hashes; what is below it only the worker's seal covers. */
  digest: string;
  /** Whose approval the plan needs, by which rule, and why. */
  needs: Need[];
  /** One sentence: what changes from what to what. */
  summary: string;
  /** A bounded list of differences in words. */
  differences: string[];
  warnings: string[];
  /** Checks that the verify phase will run, by reference into the settings. */
  checks: PlannedCheck[];
  /** Expected duration of the steps in seconds; null where a warning says what must go out of the way first. */
  estimateSeconds: number | null;
  /** In the order in which they go; where the run was started for regions. */
  regions?: PlannedRegion[];
}

/** What planning answers: the input with its defaults, the plan made from it, and its authority. */
export interface Planned<Input> {
  input: Input;
  plan: Plan;
  /** The worker's signature over the plan and how the run was started. */
  seal: string;
  start: StartAuthority;
  /** Where the plan stands with nobody's decision yet. */
  assessment: Assessment;
  /** Run id of the execution that this plan was made in: another one after a reset. */
  execution?: string;
  /** Public keys of everybody who may decide. */
  keys: KnownKey[];
  wait: WaitSettings;
}

/** The part of a plan that planners fill; the rest is added by `digestPlan`. */
export type DraftPlan = Omit<Plan, 'changeHashes' | 'digest' | 'needs'>;

/**
 * What every activity that changes something gets as its only argument. It names a change of the
 * plan and the run that acts; the guard around such activities checks both before the effect.
 */
export interface Mandate<C extends Change = Change> {
  change: C;
  /** True where a registered compensation runs: go from `after` to `before`. */
  undo: boolean;
  plan: Pick<Plan, 'targets' | 'changeHashes' | 'digest'>;
  run: RunIdentity;
  authority: Authorization;
}

/** Proof that a run may act: what a worker sealed, and the signed approvals of people. */
export interface Authorization {
  seal: string;
  approvals: string[];
  /**
   * Somebody's signed decision to take back what was done, in whatever state it is: at a step that
   * was paused, or of the run as a whole.
   */
  abort?: { token: string; step?: string; attempt?: number };
}

/** Identity of a run that survives resets and tells a later run with the same workflow id apart. */
export interface RunIdentity {
  workflowId: string;
  firstRunId: string;
}

/** What an activity that changes something answers. */
export interface Effect {
  /** False where the world was already as the change wants it. */
  changed: boolean;
  /** What was found or done, in words. */
  text: string;
}

/** Id that a change of one region's plan has in the plan of all. */
export function regionalId(region: string, id: string): string {
  return `${region}:${id}`;
}

export function isOwner({ kind }: Pick<Target, 'kind'>): boolean {
  return ownerKinds.some((owner) => owner === kind);
}

export function isInCluster({ kind }: Pick<Target, 'kind'>): boolean {
  return !outsideKinds.some((outside) => outside === kind);
}

/** A target as people name it: `deployment/production/wakala-api`. */
export function targetName(target: Target): string {
  return `${target.kind}/${target.namespace}/${target.name}`;
}

/** A target's identity over clusters and contexts, used as the key of its lock. */
export function targetKey(target: Target): string {
  if (!isInCluster(target)) return `${target.kind}/${target.name}/${target.uid}`;
  return `${targetName(target)}/${target.uid}`;
}
