import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import { stale } from '../failures.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { inWords } from '../kubernetes/objects.ts';
import type { Progress } from '../progress.ts';
import type { HelmSettings } from './helm-process.ts';
import { parseManifest } from './manifest.ts';
import { Patience } from './patience.ts';
import { ends, type ReleaseMandate } from './release-change.ts';
import { ReleaseHistory } from './releases.ts';
import { firstObstacle, progressOf, readWorkloads } from './workloads.ts';

const lookEveryMs = 500;

/**
 * Waits until every workload of the release is as available as `kubectl rollout status` wants it. Helm
 * is content with less: Helm 3 with all pods but those that a rolling update may lack.
 * @throws RolloutBlocked with the pod's own reason where it cannot finish.
 * @throws PlanStale where somebody else changes the release meanwhile.
 */
export async function awaitWorkloads(
  clusters: Clusters,
  { timeout }: HelmSettings,
  mandate: ReleaseMandate,
  progress: Progress,
): Promise<string> {
  const { target } = mandate.change;
  const cluster = clusters.of(target.context);
  const patience = new Patience();
  const waited = progress.standstill('available');
  for (;;) {
    const history = await ReleaseHistory.read(cluster, target.namespace, target.name);
    const current = await history.current();
    const { undo, change } = mandate;
    // A pending one that the run has not touched is what an undo leaves, whatever it has in it.
    const isUntouched = undo && current?.record === change.before.record;
    if (!current || !(isUntouched || current.content === ends(mandate).to.content)) {
      throw stale(
        `Somebody else changed ${inWords(target)} while its pods came up (${current ? `revision ${current.revision}, ${current.description}` : 'it is gone'}): their change stays; find out whose it is before you start again.`,
      );
    }
    const manifest = parseManifest(current.manifest, target.namespace);
    const workloads = await readWorkloads(cluster, target.namespace, manifest);
    const { text, available, wanted } = progressOf(workloads);
    progress.report(text, available, wanted);
    if (workloads.every(({ complete }) => complete)) {
      return `${available} of ${wanted} pods of ${workloads.length} workloads are available.`;
    }
    const obstacle = await firstObstacle(workloads);
    if (patience.isSpent(obstacle, available) || waited.ms() > timeout) {
      const why = obstacle?.text ?? `not within ${timeout / 1000} s`;
      throw ApplicationFailure.nonRetryable(
        `${inWords(target)} does not come up (${text}): ${why}.`,
        failureTypes.rolloutBlocked,
      );
    }
    await delay(lookEveryMs, undefined, { signal: progress.cancelled });
  }
}
