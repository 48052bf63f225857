import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../../contract/failures.ts';
import type { Effect } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import type { Progress } from '../../progress.ts';
import type { Clusters, JsonPatchOperation } from '../api.ts';
import { compareColours } from '../blue-green/compare-colours.ts';
import { type Aspect, changeObject } from '../change-object.ts';
import type { Comparison } from '../deployment/compare-revisions.ts';
import { hasChanged } from '../last-change.ts';
import { assertMayUndo } from '../may-undo.ts';
import { pointerToken, readTarget } from '../objects.ts';
import { readDeployments } from './carriers.ts';
import { driveEndpoints } from './drive-endpoints.ts';
import { readyPods } from './endpoints.ts';
import {
  labelsOf,
  selectorEnds,
  type SelectorMandate,
  type SelectorReference,
  selectorText,
  type Service,
  stopsTraffic,
} from './service.ts';
import { stopOperations } from './stopped.ts';
import { noteOperations } from './switched.ts';

/** Which pods a Service sends its traffic to. */
const selectorAspect: Aspect<Service, SelectorReference> = {
  stateOf: ({ spec }) => ({ selector: selectorText(spec?.selector) }),
  operations: ({ spec }, to) => selectorOperations(spec?.selector, to.selector),
  inWords: ({ selector }) => (selector === '' ? 'has no selector' : `selects ${selector}`),
};

/**
 * Gives a Service the planned selector, or takes that back, and sees its endpoints follow. Traffic
 * goes only where a pod is ready for it, unless the plan wants to stop it; an undo may go back to what
 * serves nobody where nobody is served now either.
 * @throws RolloutBlocked where no pod that the selector matches is ready, and nothing was changed; and
 *   as driveEndpoints does.
 * @throws PlanStale as changeObject and assertMayUndo do.
 */
export async function switchSelector(
  clusters: Clusters,
  mandate: SelectorMandate,
  progress: Progress,
): Promise<Effect> {
  const { context, namespace, name } = mandate.change.target;
  const cluster = clusters.of(context);
  const { from, to } = selectorEnds(mandate);
  await assertMayUndo(mandate, () => compareTraffic(clusters, mandate));
  const isSwitch = mandate.change.kind === 'service/selector';
  if (isSwitch && !isOneLabelAway(from, to)) {
    throw stale(
      `${to} differs from ${from} by more than the value of one label: Service ${name} in ${namespace} is switched between colours only. Nothing was changed.`,
    );
  }
  const [ready, deployments, found] = await Promise.all([
    stopsTraffic(mandate) ? undefined : readyPods(cluster, namespace, to),
    isSwitch ? readDeployments(cluster, namespace) : [],
    readTarget<Service>(cluster, mandate.change.target),
  ]);
  if (ready?.length === 0) {
    const nobodyIsServed = async () => (await readyPods(cluster, namespace, from)).length === 0;
    if (!mandate.undo || !(await nobodyIsServed())) {
      throw ApplicationFailure.nonRetryable(
        `Service ${name} in ${namespace} stays as it is: no pod with ${to} is ready, so its traffic would go nowhere. See kubectl get pods -l ${to} -n ${namespace}, and try again when some are ready.`,
        failureTypes.rolloutBlocked,
      );
    }
  }
  const aspect: typeof selectorAspect = {
    ...selectorAspect,
    operations: (service, state) => [
      ...selectorAspect.operations(service, state),
      ...(isSwitch
        ? noteOperations(service, deployments, mandate)
        : stopOperations(service, mandate)),
    ],
  };
  const { changed, text } = await changeObject(clusters, mandate, aspect, found);
  const followed = await driveEndpoints(clusters, mandate, progress);
  return { changed, text: `${text} ${followed.text}` };
}

/**
 * Whether traffic may go back by itself to where it went. To one that was stopped only where the run
 * has changed nothing behind it that still stands; to stop it again is always a person's decision.
 */
async function compareTraffic(clusters: Clusters, mandate: SelectorMandate): Promise<Comparison> {
  const { change, plan, run } = mandate;
  if (change.kind === 'service/selector') return compareColours(clusters, mandate);
  const cluster = clusters.of(change.target.context);
  const behind = plan.targets.filter(
    ({ kind, context }) => kind === 'statefulset' && context === change.target.context,
  );
  const changed = await Promise.all(behind.map((target) => hasChanged(cluster, target, run)));
  const isStop = change.kind === 'service/stop';
  return {
    beforeIsHealthier: isStop && !changed.includes(true),
    nothingToUndo: false,
    text: isStop ? 'what is behind it was changed by this run' : 'it would stop the traffic',
  };
}

function isOneLabelAway(from: string, to: string): boolean {
  const [one, other] = [labelsOf(from), labelsOf(to)];
  const keys = Object.keys(one);
  const isSameKeys = keys.length === Object.keys(other).length && keys.every((key) => key in other);
  return isSameKeys && keys.filter((key) => one[key] !== other[key]).length === 1;
}

/**
 * Changes of single keys, behind a test of the whole: a merge patch would keep keys that the new
 * selector does not have.
 */
function selectorOperations(
  now: Record<string, string> | undefined,
  to: string,
): JsonPatchOperation[] {
  const wanted = labelsOf(to);
  if (!now) return [{ op: 'add', path: '/spec/selector', value: wanted }];
  const path = (key: string) => `/spec/selector/${pointerToken(key)}`;
  const changed = Object.entries(wanted).filter(([key, value]) => now[key] !== value);
  const gone = Object.keys(now).filter((key) => wanted[key] === undefined);
  return [
    { op: 'test', path: '/spec/selector', value: now },
    ...changed.map(([key, value]) => ({ op: 'add', path: path(key), value }) as const),
    ...gone.map((key) => ({ op: 'remove', path: path(key) }) as const),
  ];
}
