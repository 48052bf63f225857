import { findService } from '../../../config/services.ts';
import type { Settings } from '../../../config/schema.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Plan } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Cluster, Clusters } from '../api.ts';
import { managerWarnings } from '../managers.ts';
import { objectPath, targetOf } from '../objects.ts';
import { estimateSeconds } from '../pods.ts';
import type { RestartChange } from '../restart/workload.ts';
import { versionDigest } from '../templates.ts';
import {
  type Breaker,
  type BreakerChange,
  breakerOf,
  type ConfigMap,
  isSameValues,
  shortened,
  type Values,
  valuesOf,
} from './breaker.ts';
import { type Consumer, findConsumers, nameOf } from './consumers.ts';

/**
 * Plans R16: which values of the ConfigMap change, and what is restarted for it. Reads only; needs no
 * Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planCircuitBreaker(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'circuit-breaker'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const { circuitBreaker } = settings;
  const namespace = input.namespace ?? circuitBreaker.namespace ?? settings.kubernetes.namespace;
  const name = input.configMap ?? circuitBreaker.configMap;
  if (name === undefined) {
    throw refused(
      'No ConfigMap is named: give it with --config-map, or as circuitBreaker.configMap in the settings.',
    );
  }
  const configMap = await cluster.find<ConfigMap>(objectPath('configmap', namespace, name));
  if (!configMap) {
    throw refused(
      `There is no ConfigMap ${name} in namespace ${namespace} of context ${cluster.context}: name another with --config-map, or as circuitBreaker.configMap in the settings.`,
    );
  }
  const { consumers, warnings } = await findConsumers(cluster, namespace, name);

  const what = `ConfigMap ${name} in ${namespace}`;
  const noted = breakerOf(configMap);
  const wanted = wantedValues(what, configMap, noted, input.state, circuitBreaker.open);
  const now = valuesOf(configMap, Object.keys(wanted));
  const isThere = isSameValues(now, wanted);
  if (configMap.immutable && !isThere) {
    throw refused(
      `${what} is immutable, so its values cannot be changed: make a new one and change who refers to it.`,
    );
  }
  const isNoted = noted && (noted.state === 'open') === (input.state === 'open');
  const since = isThere && isNoted ? noted.at : undefined;
  // Where somebody else has brought it into this state, who reads it is theirs to restart as well.
  const toRestart = isThere
    ? consumers.filter(({ pods }) => since !== undefined && hasOlder(pods, since))
    : consumers;
  const target = targetOf('configmap', cluster, configMap);
  const breaker: BreakerChange = {
    id: 'breaker',
    kind: input.state === 'open' ? 'configmap/open-breaker' : 'configmap/close-breaker',
    target,
    before: shortened(now),
    after: shortened(wanted),
  };
  const restarts = toRestart.map((consumer) => restartOf(cluster, consumer));
  const changes = [...(isThere ? [] : [breaker]), ...restarts];
  return digestPlan({
    procedure: 'circuit-breaker',
    targets: changes.length === 0 ? [] : [target, ...restarts.map((restart) => restart.target)],
    changes,
    summary: summaryOf(what, input.state, {
      isThere,
      noted: since === undefined ? undefined : noted,
      toRestart,
    }),
    differences: differencesOf(now, wanted),
    warnings:
      changes.length === 0
        ? []
        : [
            ...managerWarnings(configMap, `ConfigMap ${name}`),
            ...warnings,
            ...readingWarnings(toRestart),
          ],
    checks: toRestart.flatMap((consumer, index) =>
      checksOf(settings, namespace, consumer, restarts[index]),
    ),
    estimateSeconds: Math.max(
      changes.length === 0 ? 0 : 1,
      ...toRestart.map(({ workload, pods }) => estimateSeconds(workload, pods, false)),
    ),
  });
}

/** @throws Refused where it cannot be told what closing would bring back. */
function wantedValues(
  what: string,
  configMap: ConfigMap,
  noted: Breaker | undefined,
  state: 'open' | 'close',
  open: Values,
): Values {
  if (state === 'open') return open;
  const keys = Object.keys(noted?.open ?? open);
  const now = valuesOf(configMap, keys);
  if (!noted) {
    if (!isSameValues(now, open)) return now;
    throw refused(
      `${what} has the values of an open circuit breaker, but no run has opened it, so what was there before is not known: put it back by hand.`,
    );
  }
  const isTouched = !isSameValues(now, noted.open) && !isSameValues(now, noted.closed);
  if (noted.state === 'open' && isTouched) {
    throw refused(
      `Somebody has changed ${what} after run ${noted.run} opened the circuit breaker (${differencesOf(noted.open, now).join(', ')}): look at it, and close it by hand, or open it again first.`,
    );
  }
  return noted.state === 'open' ? noted.closed : now;
}

function restartOf(cluster: Cluster, { kind, workload }: Consumer): RestartChange {
  const template = versionDigest(workload.spec?.template);
  return {
    ...{ id: `restart/${kind}/${workload.metadata?.name}`, kind: `${kind}/restart` },
    target: targetOf(kind, cluster, workload),
    before: { template, restarted: false },
    after: { template, restarted: true },
  };
}

/** Whether a pod was made before that time; the API server tells whole seconds. */
function hasOlder(pods: Consumer['pods'], time: string): boolean {
  const at = Math.floor(Date.parse(time) / 1000) * 1000;
  return pods.some(({ metadata }) => Date.parse(metadata?.creationTimestamp ?? '') < at);
}

function summaryOf(
  what: string,
  state: 'open' | 'close',
  {
    isThere,
    noted,
    toRestart,
  }: { isThere: boolean; noted: Breaker | undefined; toRestart: Consumer[] },
): string {
  const names = toRestart.map(nameOf).join(', ');
  const word = state === 'open' ? 'open' : 'closed';
  if (isThere) {
    const by = noted ? `: run ${noted.run} did that at ${noted.at}` : '';
    const rest = names ? `; ${names} still has to restart` : '';
    return `The circuit breaker in ${what} is already ${word}${by}${rest || (noted ? '' : ': nothing to do')}.`;
  }
  const restart = names
    ? `, and ${names} ${toRestart.length > 1 ? 'are' : 'is'} restarted`
    : '; nobody reads it, so nothing is restarted';
  return `The circuit breaker in ${what} is ${state === 'open' ? 'opened' : 'closed'}${restart}.`;
}

/** `KEY: from -> to`, a line each. */
function differencesOf(from: Values, to: Values): string[] {
  const [before, after] = [shortened(from), shortened(to)];
  return Object.keys(after)
    .filter((key) => before[key] !== after[key])
    .map((key) => `${key}: ${before[key] ?? '(none)'} -> ${after[key] ?? '(none)'}`);
}

function readingWarnings(consumers: Consumer[]): string[] {
  const files = consumers.filter(({ reads }) => reads === 'files');
  return files.map(
    (consumer) =>
      `${nameOf(consumer)} reads the ConfigMap from files, which change by themselves within a minute or two; it is restarted all the same, so that all have the values at once.`,
  );
}

function checksOf(
  settings: Settings,
  namespace: string,
  { kind, workload }: Consumer,
  restart: RestartChange | undefined,
) {
  const [name, service] = findService(settings, {
    ...{ kind, namespace, name: workload.metadata?.name ?? '' },
  });
  return plannedChecks(name, service, restart?.id);
}
