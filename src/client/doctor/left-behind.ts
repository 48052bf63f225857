/** What runs left behind that were ended from outside, as `rollback doctor` finds and mends it. */
import { WorkflowNotFoundError } from '@temporalio/client';
import type { ListOf } from '../../activities/kubernetes/api.ts';
import { isSurged, keptStrategy } from '../../activities/kubernetes/deployment/annotations.ts';
import { putStrategyBack } from '../../activities/kubernetes/deployment/hand-back-deployment.ts';
import type { Deployment } from '../../activities/kubernetes/deployment/revisions.ts';
import type { RunIdentity } from '../../contract/plan.ts';
import type { Place } from './clusters.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import { explain, type Temporal } from '../temporal.ts';

/** A change that has begun is waited for. */
const mendWithinMs = 300_000;

/** Deployments whose raised rollout strategy a run left there that has ended since. */
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
      const left = await leftIn(place, temporal, mend);
      if (left.length === 0) return [true, `nothing in ${place.where}`];
      throw new CliError(
        `a raised rollout strategy in ${place.where} on ${left.join(', ')}: put it back with rollback doctor --mend`,
      );
    },
    mend ? { limitMs: mendWithinMs } : {},
  );
}

/** Names of those that still have it. */
async function leftIn(
  { cluster, namespace }: Place,
  temporal: Temporal,
  mend: boolean,
): Promise<string[]> {
  const { items } = await cluster.get<ListOf<Deployment>>(
    `/apis/apps/v1/namespaces/${namespace}/deployments`,
  );
  const left: string[] = [];
  for (const deployment of items) {
    const kept = keptStrategy(deployment);
    // With the template of an earlier revision, kubectl brings its annotations back, and no strategy.
    if (!kept || !isSurged(deployment) || (await isOpen(temporal, kept.run))) continue;
    const { name = '', uid = '' } = deployment.metadata ?? {};
    if (mend) await putStrategyBack(cluster, namespace, name, uid);
    else left.push(name);
  }
  return left;
}

async function isOpen(temporal: Temporal, run: RunIdentity): Promise<boolean> {
  try {
    const { status, raw } = await temporal.client.workflow.getHandle(run.workflowId).describe();
    return status.name === 'RUNNING' && raw.workflowExecutionInfo?.firstRunId === run.firstRunId;
  } catch (error) {
    // A run that Temporal has forgotten is over; one that it cannot tell about may still act.
    if (error instanceof WorkflowNotFoundError) return false;
    throw explain(error, temporal);
  }
}
