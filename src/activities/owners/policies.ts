import type { Policy } from './policy.ts';
import type { OwnerKind } from '../../contract/plan.ts';
import { applicationSetPolicy } from '../argo-cd/application-set.ts';
import { applicationPolicy } from '../argo-cd/application.ts';
import { suspendPolicy } from '../flux/flux.ts';
import { canaryPolicy } from '../flagger/canary.ts';

/** Owners that can be held. A Rollout is not: it follows a Deployment's template and nothing else. */
export type HeldKind = Exclude<OwnerKind, 'rollout'>;

/** How each kind of owner is held. */
export const policies: Record<HeldKind, Policy> = {
  application: applicationPolicy,
  applicationset: applicationSetPolicy,
  kustomization: suspendPolicy,
  helmrelease: suspendPolicy,
  canary: canaryPolicy,
};

/** The policy for a kind of target; undefined where it is none that can be held. */
export function policyOf(kind: string): Policy | undefined {
  return Object.hasOwn(policies, kind) ? policies[kind as HeldKind] : undefined;
}
