/** What runs left behind that were ended from outside, as `rollback doctor` finds and mends it. */
import { WorkflowNotFoundError } from '@temporalio/client';
import type { ListOf } from '../../activities/kubernetes/api.ts';
import {
  byHand as commands,
  isSurged,
  keptStrategy,
} from '../../activities/kubernetes/deployment/annotations.ts';
import { putStrategyBack } from '../../activities/kubernetes/deployment/hand-back-deployment.ts';
import { leftAtZero } from '../../activities/kubernetes/deployment/left-at-zero.ts';
import type { Deployment } from '../../activities/kubernetes/deployment/revisions.ts';
import { objectPath } from '../../activities/kubernetes/objects.ts';
import { readServices, type Service } from '../../activities/kubernetes/service/service.ts';
import { standingStop } from '../../activities/kubernetes/service/stopped.ts';
import type { RunIdentity } from '../../contract/plan.ts';
import { shellWord } from '../../contract/printable.ts';
import type { Place } from './clusters.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import { explain, type Temporal } from '../temporal.ts';

/** A change that has begun is waited for. */
const mendWithinMs = 300_000;

/** What runs left in a namespace that have ended since: raised strategies, stopped traffic, stopped services. */
export async function checkLeftBehind(
  findings: Finding[],
  temporal: Temporal,
  place: Place,
  mend: boolean,
): Promise<void> {
  await look(
    findings,
    'left behind',
    async () => {
      const { cluster, namespace, where } = place;
      const [deployments, services] = await Promise.all([
        cluster.get<ListOf<Deployment>>(objectPath('deployment', namespace)),
        readServices(cluster, namespace),
      ]);
      const [raised, ...stopped] = await Promise.all([
        leftRaised(place, temporal, deployments.items, mend),
        ...services.map((service) => leftStopped(place, temporal, service)),
        ...deployments.items.map((deployment) => leftStanding(place, temporal, deployment)),
      ]);
      const strategies = `a raised rollout strategy in ${where} on ${raised.join(', ')}: put it back with rollback doctor --mend`;
      const left = [
        ...(raised.length > 0 ? [strategies] : []),
        ...stopped.filter((text) => text !== undefined),
      ];
      if (left.length === 0) return [true, `nothing in ${where}`];
      throw new CliError(left.join('; '));
    },
    mend ? { limitMs: mendWithinMs } : {},
  );
}

/** Names of the Deployments whose raised strategy is still there. */
async function leftRaised(
  { cluster, namespace }: Place,
  temporal: Temporal,
  deployments: readonly Deployment[],
  mend: boolean,
): Promise<string[]> {
  const left: string[] = [];
  for (const deployment of deployments) {
    const kept = keptStrategy(deployment);
    // With the template of an earlier revision, kubectl brings its annotations back, and no strategy.
    if (!kept || !isSurged(deployment)) continue;
    if ((await stateOf(temporal, kept.run)) === 'open') continue;
    const { name = '', uid = '' } = deployment.metadata ?? {};
    if (mend) await putStrategyBack(cluster, namespace, name, uid);
    else left.push(name);
  }
  return left;
}

/** What to do about a Service whose traffic a run has stopped and not resumed. */
async function leftStopped(
  place: Place,
  temporal: Temporal,
  service: Service,
): Promise<string | undefined> {
  const stopped = standingStop(service);
  if (!stopped) return undefined;
  const name = shellWord(service.metadata?.name ?? '');
  return afterItsRun(temporal, stopped.run, {
    what: `Service ${name} in ${place.where} gets no traffic`,
    byHand: `${kubectl(place)} set selector service/${name} ${shellWord(stopped.from)}`,
  });
}

/** What to do about a Deployment that a run has scaled to zero for a restore, and not started again. */
async function leftStanding(
  place: Place,
  temporal: Temporal,
  deployment: Deployment,
): Promise<string | undefined> {
  const left = leftAtZero(deployment);
  if (!left) return undefined;
  const { name = '' } = deployment.metadata ?? {};
  return afterItsRun(temporal, left.run, {
    what: `Deployment ${name} in ${place.where} has no replicas`,
    byHand: `${kubectl(place)} scale deployment/${shellWord(name)} --replicas=${left.replicas}`,
  });
}

/** Undefined where the run may still go on with it, or has done what it was to do. */
async function afterItsRun(
  temporal: Temporal,
  run: RunIdentity,
  { what, byHand }: { what: string; byHand: string },
): Promise<string | undefined> {
  if (run.workflowId === commands) {
    return `${what} since the commands of rollback plan stopped it: run them to their end, or ${byHand}`;
  }
  const state = await stateOf(temporal, run);
  if (state === 'open' || state === 'done') return undefined;
  const id = shellWord(run.workflowId);
  return state === 'ended'
    ? `${what} since run ${id} stopped it and ended: rollback resume ${id}`
    : `${what} since run ${id} stopped it, which Temporal no longer knows: ${byHand}`;
}

function kubectl({ cluster, namespace }: Place): string {
  return `kubectl --context ${shellWord(cluster.context)} -n ${shellWord(namespace)}`;
}

/** A run that Temporal has forgotten is over; one that it cannot tell about may still act. */
async function stateOf(
  temporal: Temporal,
  run: RunIdentity,
): Promise<'open' | 'done' | 'ended' | 'forgotten'> {
  try {
    const { status, raw } = await temporal.client.workflow.getHandle(run.workflowId).describe();
    if (raw.workflowExecutionInfo?.firstRunId !== run.firstRunId) return 'forgotten';
    if (status.name === 'RUNNING') return 'open';
    return status.name === 'COMPLETED' ? 'done' : 'ended';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'forgotten';
    throw explain(error, temporal);
  }
}
