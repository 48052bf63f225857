import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contract/failures.ts';
import { type Cluster, KubernetesError, KubernetesUnreachable } from '../kubernetes/api.ts';
import type { Progress } from '../progress.ts';
import { HelmProcess, type HelmSettings, isPassing } from './helm-process.ts';
import { failureOf, readHookJobs, rollbackHooks } from './hooks.ts';
import { type ManifestObject, parseManifest } from './manifest.ts';
import { Patience } from './patience.ts';
import type { ReleaseMandate } from './release-change.ts';
import type { Release } from './releases.ts';
import { firstObstacle, progressOf, readWorkloads } from './workloads.ts';

const lookEveryMs = 1000;

/**
 * Runs `helm rollback` to its end and looks after the pods meanwhile: helm itself would wait for one
 * that crashes until its time-out, and then say no more than that.
 * @throws RolloutBlocked with the reason of the pod or the hook
 * @throws Unreachable, to be tried again, where helm had no answer
 */
export async function superviseHelm(
  cluster: Cluster,
  settings: HelmSettings,
  { change: { target } }: ReleaseMandate,
  source: Release,
  progress: Progress,
): Promise<void> {
  const { context, namespace, name } = target;
  const wanted = { context, namespace, release: name, revision: source.revision };
  const manifest = parseManifest(source.manifest, namespace);
  const helm = new HelmProcess(settings, wanted);
  const patience = new Patience();
  const stop = new AbortController();
  const cancelled = once(progress.cancelled, 'abort', { signal: stop.signal }).catch(() => {});
  const ended = helm.ended.then((failure) => ({ failure }));
  const doing = `helm rollback ${name} ${source.revision}`;
  try {
    for (;;) {
      progress.cancelled.throwIfAborted();
      progress.report(`${doing} is at work`);
      const end = await Promise.race([ended, cancelled, delay(lookEveryMs, undefined)]);
      progress.cancelled.throwIfAborted();
      if (end && 'failure' in end) {
        if (end.failure === undefined) return;
        throw await explained(cluster, source, manifest, namespace, `${doing}: ${end.failure}`);
      }
      if (!helm.isWaiting) continue;
      const seen = await lookAt(cluster, namespace, manifest);
      if (!seen) continue;
      const { obstacle } = seen;
      const { text, available, wanted: total } = seen.progress;
      progress.report(obstacle ? `${text}; ${obstacle.text}` : text, available, total);
      if (patience.isSpent(obstacle, available)) {
        await helm.end();
        throw blocked(`${doing} cannot finish (${text}): ${obstacle?.text}.`);
      }
    }
  } finally {
    stop.abort();
    await helm.end();
  }
}

/** The workloads as they are; undefined where the API server does not answer now. */
async function lookAt(
  cluster: Cluster,
  namespace: string,
  manifest: ReadonlyMap<string, ManifestObject>,
) {
  try {
    const workloads = await readWorkloads(cluster, namespace, manifest);
    return { progress: progressOf(workloads), obstacle: await firstObstacle(workloads) };
  } catch (error) {
    // Helm is the one who acts, and says itself what it lacks.
    if (error instanceof KubernetesUnreachable || error instanceof KubernetesError)
      return undefined;
    throw error;
  }
}

/** What helm's failure comes to. */
async function explained(
  cluster: Cluster,
  source: Release,
  manifest: ReadonlyMap<string, ManifestObject>,
  namespace: string,
  failure: string,
): Promise<ApplicationFailure> {
  if (/forbidden/i.test(failure)) {
    return ApplicationFailure.nonRetryable(
      `${failure}. Give the worker the role in deploy/kubernetes-role-helm.yaml.`,
      failureTypes.forbidden,
    );
  }
  if (isPassing(failure)) return ApplicationFailure.retryable(failure, failureTypes.unreachable);
  const hooks = await readHookJobs(cluster, namespace, rollbackHooks(source));
  const reason =
    hooks.map(failureOf).find(Boolean) ??
    (await lookAt(cluster, namespace, manifest))?.obstacle?.text;
  return blocked(reason === undefined ? failure : `${reason} (${failure})`);
}

function blocked(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.rolloutBlocked);
}
