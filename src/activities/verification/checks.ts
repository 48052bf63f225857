/** R5: the checks of the verify phase. Each measures once and says in words what it found. */
import { resolve } from 'node:path';
import { execa, ExecaError } from 'execa';
import type { HealthCheck, LogsCheck, SmokeCheck } from '../../config/schema.ts';
import { type Rollout, rolloutHashLabel } from '../argo-rollouts/rollout.ts';
import { type Cluster, KubernetesError, type ListOf } from '../kubernetes/api.ts';
import type { Change } from '../../contract/plan.ts';
import { podTemplateHash, readHistory, selectorOf } from '../kubernetes/deployment/revisions.ts';
import { type KubernetesObject, markOf, objectPath } from '../kubernetes/objects.ts';
import { podsPath, readySince, type Pod } from '../kubernetes/pods.ts';
import { revisionLabel } from '../kubernetes/stateful-set/pods.ts';
import { readStatefulSetHistory } from '../kubernetes/stateful-set/revisions.ts';
import { readService, selectorText } from '../kubernetes/service/service.ts';
import { killGroup } from '../kill-group.ts';

export interface Measurement {
  green: boolean;
  text: string;
}

/** Asks the health address `requests` times at once; green if at most `maxFailed` fail. */
export async function measureHealth(check: HealthCheck, signal: AbortSignal): Promise<Measurement> {
  const answers = await Promise.all(
    Array.from({ length: check.requests }, async () => {
      try {
        const timeout = AbortSignal.timeout(check.timeout);
        const answer = await fetch(check.url, { signal: AbortSignal.any([signal, timeout]) });
        await answer.body?.cancel();
        return answer.ok ? undefined : `HTTP ${answer.status}`;
      } catch (error) {
        signal.throwIfAborted();
        const { name, cause } = error as { name: string; cause?: { code?: string } };
        return name === 'TimeoutError' ? `no answer in ${check.timeout} ms` : (cause?.code ?? name);
      }
    }),
  );
  const failures = answers.filter((answer) => answer !== undefined);
  const why = failures.length > 0 ? ` (${[...new Set(failures)].join(', ')})` : '';
  return {
    green: failures.length <= check.maxFailed,
    text: `health: ${failures.length} of ${check.requests} requests to ${check.url} failed${why}, at most ${check.maxFailed} may`,
  };
}

/**
 * Counts the lines that contain the searched text in the logs of the restored revision's pods,
 * since each became ready, or of the pods that a Service was switched to, since then: what the bad
 * version wrote is not held against the good one. The lines themselves are not told, since logs may
 * hold what must not leave them.
 */
export async function measureLogs(
  check: LogsCheck,
  cluster: Cluster,
  change: Change,
): Promise<Measurement> {
  const { namespace } = change.target;
  const { selector, since = '', isWhole = false } = await measuredPods(cluster, change);
  const labelSelector = isWhole ? selector : [check.selector, selector].filter(Boolean).join();
  const pods = await cluster.get<ListOf<Pod>>(podsPath(namespace), { labelSelector });
  const unreadable: string[] = [];
  const counts = await Promise.all(
    pods.items.map(async (pod) => {
      if (pod.metadata?.deletionTimestamp) return 0;
      const ready = readySince(pod);
      if (!ready) return 0;
      const sinceTime = ready > since ? ready : since;
      const path = `${podsPath(namespace)}/${pod.metadata?.name}`;
      try {
        const log = await cluster.text(`${path}/log`, {
          container: check.container ?? pod.spec?.containers[0]?.name,
          tailLines: check.lines,
          sinceTime,
        });
        return log.split('\n').filter((line) => line.includes(check.contains)).length;
      } catch (error) {
        if (!(error instanceof KubernetesError) || error.status === 403) throw error;
        // A pod that has gone since it was listed says no more.
        if (await cluster.find(path)) unreadable.push(`${pod.metadata?.name} (${error.message})`);
        return 0;
      }
    }),
  );
  const found = counts.reduce((sum, count) => sum + count, 0);
  if (unreadable.length > 0) {
    const [first, ...others] = unreadable;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    return { green: false, text: `logs: cannot be read of pod ${first}${more}` };
  }
  return {
    green: found <= check.max,
    text: `logs: ${found} lines with ${check.contains} in the last ${check.lines} of ${counts.length} new pods, at most ${check.max} may be`,
  };
}

/** Pods that a change is measured by. */
interface Measured {
  selector: string;
  /** Whether the settings' selector does not fit them. */
  isWhole?: boolean;
  /** Since when, where they are older than the change. */
  since?: string;
}

/** Which pods a change is measured by, and since when where they are older than it. */
async function measuredPods(
  cluster: Cluster,
  { kind: changeKind, target: { kind, namespace, name } }: Change,
): Promise<Measured> {
  if (kind === 'service') {
    const service = await readService(cluster, namespace, name);
    const selector = selectorText(service?.spec?.selector);
    return { selector, since: service && markOf(service)?.at };
  }
  // When a release has come up, no other pods are left of it.
  if (kind === 'helm-release') return { selector: '' };
  if (kind === 'statefulset') {
    const current = (await readStatefulSetHistory(cluster, namespace, name))?.current;
    return { selector: `${revisionLabel}=${current?.name ?? ''}` };
  }
  if (kind === 'rollout') {
    const rollout = await cluster.find<Rollout>(objectPath(kind, namespace, name));
    const { abort = false, currentPodHash, stableRS } = rollout?.status ?? {};
    return { selector: `${rolloutHashLabel}=${(abort ? stableRS : currentPodHash) ?? ''}` };
  }
  if (changeKind !== 'deployment/template') {
    // Nothing was released, so it is measured by all pods of the check's own selector.
    const changed = await cluster.find<KubernetesObject>(objectPath(kind, namespace, name));
    return { selector: '', since: changed && markOf(changed)?.at };
  }
  const history = await readHistory(cluster, namespace, name);
  const current = history?.current;
  const hash = `pod-template-hash=${current ? podTemplateHash(current.replicaSet) : ''}`;
  const controller = history?.deployment.metadata?.ownerReferences?.find((one) => one.controller);
  // The pods of Flagger's copy have labels of their own, which the settings do not name.
  if (history && controller?.kind === 'Canary') {
    return { selector: `${selectorOf(history.deployment)},${hash}`, isWhole: true };
  }
  return { selector: hash };
}

/**
 * Runs the smoke command; green if it ends with 0 in time. Only the program is told, since its
 * arguments may have been taken from the environment and be secret.
 */
export async function measureSmoke(
  check: SmokeCheck,
  folder: string,
  signal: AbortSignal,
): Promise<Measurement> {
  const [program = '', ...args] = check.command;
  const timeout = AbortSignal.timeout(check.timeout);
  const over = AbortSignal.any([signal, timeout]);
  // A process group of its own: what a script has started holds its output open, and outlives it.
  const running = execa(program, args, {
    cwd: folder,
    cancelSignal: over,
    detached: true,
    stdin: 'ignore',
    all: true,
    maxBuffer: 1_000_000,
  });
  const endGroup = () => killGroup(running.pid);
  over.addEventListener('abort', endGroup);
  try {
    await running;
    return { green: true, text: `smoke: ${program} passed` };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ExecaError)) throw error;
    const unusable = whyNotRun(program, folder, error.code);
    if (unusable !== undefined) return { green: false, text: `smoke: ${unusable}` };
    const last = String(error.all ?? '')
      .trim()
      .split('\n')
      .at(-1)
      ?.slice(0, 200);
    const why = timeout.aborted
      ? `timed out after ${check.timeout} ms`
      : `Command failed with ${error.exitCode === undefined ? (error.code ?? error.signal) : `exit code ${error.exitCode}`}`;
    return { green: false, text: `smoke: ${program}: ${why}${last ? ` (${last})` : ''}` };
  } finally {
    over.removeEventListener('abort', endGroup);
  }
}

/** Why a program could not be run at all, and what to do; undefined where it was. */
function whyNotRun(program: string, folder: string, code: string | undefined): string | undefined {
  const isPath = program.includes('/');
  const file = isPath ? resolve(folder, program) : program;
  if (code === 'EACCES') return `the worker may not run ${file}: chmod +x it, with what it is in`;
  if (code !== 'ENOENT') return undefined;
  const where = isPath
    ? `there is no ${file} on the worker's machine, or not the interpreter of its first line: a relative path starts from the settings' folder`
    : `there is no program ${program} on the worker's PATH`;
  return `${where}. Put it there, or change checks.smoke.command of the service in the settings`;
}
