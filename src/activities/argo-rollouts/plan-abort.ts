import { refused } from '../failures.ts';
import { concernedOf } from '../kubernetes/canary/canary-change.ts';
import type { Mesh } from '../kubernetes/canary/mesh.ts';
import type { Sides } from '../kubernetes/canary/sides.ts';
import { targetOf } from '../kubernetes/objects.ts';
import { type AbortChange, abortChangeKind } from './abort-change.ts';
import { isPromoted, type Rollout } from './rollout.ts';

/**
 * The change that aborts what a Rollout tries out.
 * @throws Refused where it tries nothing, or has not looked at its template yet.
 */
export function abortChange({ cluster }: Mesh, sides: Sides, rollout: Rollout): AbortChange {
  const target = targetOf('rollout', cluster, rollout);
  const { currentPodHash: podHash, abort: aborted = false } = rollout.status ?? {};
  const see = `see kubectl argo rollouts get rollout ${target.name} -n ${target.namespace}`;
  if (podHash === undefined) {
    throw refused(
      `Argo Rollouts sets the weights and has not looked at rollout ${target.name} in ${target.namespace} yet: make sure that its controller runs (${see}).`,
    );
  }
  if (isPromoted(rollout)) {
    throw refused(
      `Rollout ${target.name} in ${target.namespace} sets the weights and tries no version, yet its canary gets traffic: ${see}, and why its controller does not take that back.`,
    );
  }
  const update = { ...concernedOf(sides), podHash };
  return {
    ...{ id: `abort/${target.name}`, kind: abortChangeKind, target },
    before: { ...update, aborted },
    after: { ...update, aborted: true },
  };
}

/** What an abort means, for people. */
export function abortInWords({ metadata }: Rollout): string {
  return `Argo Rollouts (rollout ${metadata?.name}) sets the weights. Its update is aborted, as with kubectl argo rollouts abort: it turns the traffic and takes the canary's pods away itself. Its template stays the version that is left, which it tries again at its next change: go back in its manifests as well, or with rollback deployment.`;
}
