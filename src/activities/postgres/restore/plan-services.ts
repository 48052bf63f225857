/** What belongs to a restore beside the database: the services that stop for it, and their caches. */
import type { LoadedSettings } from '../../../config/settings.ts';
import type { Change, PlannedCheck, Target } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import type { Clusters } from '../../kubernetes/api.ts';
import { leftAtZero } from '../../kubernetes/deployment/left-at-zero.ts';
import {
  readAutoscalers,
  replicasOf,
  type ReplicasChange,
} from '../../kubernetes/deployment/replicas.ts';
import type { Deployment } from '../../kubernetes/deployment/revisions.ts';
import { inWords, objectPath, targetOf } from '../../kubernetes/objects.ts';
import { cacheTarget, clearingOf, selectionInWords } from '../../redis/cache-change.ts';
import { cacheSettings, withCache } from '../../redis/connect.ts';
import { CacheUnreachable } from '../../redis/errors.ts';
import { countInWords, countKeys } from '../../redis/keys.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Database } from '../database.ts';

/** How long the keys of a cache are counted for a plan. */
const countingMs = 1000;
const mostLines = 20;

/** A part of a plan. */
export interface Beside {
  changes: Change[];
  targets: Target[];
  differences: string[];
  warnings: string[];
}

/**
 * Plans to scale the Deployments of the database's services to zero before, and to what they have now
 * after the swap. An autoscaler leaves one with no replicas alone. What an earlier run has left at zero,
 * since it was ended from outside, is started with what it had before: one that is open holds it.
 * @throws Refused where none is known.
 */
export async function planStops(
  clusters: Clusters,
  { settings }: LoadedSettings,
  { key, settings: { services } }: Database,
): Promise<Omit<Beside, 'changes'> & { stops: Change[]; starts: Change[] }> {
  const known = services.flatMap((name) => {
    const { deployment, namespace = settings.kubernetes.namespace } = settings.services[name] ?? {};
    return deployment === undefined ? [] : [{ deployment, namespace }];
  });
  if (known.length === 0) {
    throw refused(
      `No service of database ${key} is known that could be stopped: name those that use it in databases.${key}.services, each with its deployment.`,
    );
  }
  const regions = Object.keys(settings.regions);
  if (regions.length > 1) {
    throw refused(
      `Services run in several regions (${regions.join(', ')}), and --stop-first stops those of one cluster only: scale them down yourself, then start without it.`,
    );
  }
  const cluster = clusters.of(undefined);
  const parts = await Promise.all(
    known.map(async ({ deployment: name, namespace }) => {
      const [deployment, autoscalers] = await Promise.all([
        cluster.find<Deployment>(objectPath('deployment', namespace, name)),
        readAutoscalers(cluster, namespace),
      ]);
      if (!deployment) {
        throw refused(
          `There is no Deployment ${name} in namespace ${namespace} of context ${cluster.context}, which the settings name for database ${key}.`,
        );
      }
      const left = leftAtZero(deployment);
      const replicas = left?.replicas ?? replicasOf(deployment);
      if (replicas === 0) return [];
      const target = targetOf('deployment', cluster, deployment);
      const autoscaled = autoscalers.has(name);
      const [some, none] = [
        { replicas, autoscaled },
        { replicas: 0, autoscaled },
      ];
      const kind = 'deployment/replicas';
      const at = `${namespace}/${name}`;
      const stop: ReplicasChange = { id: `stop/${at}`, kind, target, before: some, after: none };
      const start: ReplicasChange = { id: `start/${at}`, kind, target, before: none, after: some };
      return [{ stop, start, left }];
    }),
  );
  const running = parts.flat();
  return {
    stops: running.map(({ stop }) => stop),
    starts: running.map(({ start }) => start),
    targets: running.map(({ stop }) => stop.target),
    differences: firstOf(
      running.map(({ stop: { target, before }, left }) =>
        left
          ? `starts: ${target.namespace}/${target.name}, replicas 0 -> ${left.replicas} after the swap`
          : `stops: ${target.namespace}/${target.name}, replicas ${before.replicas} -> 0, and back after the swap`,
      ),
    ),
    warnings: firstOf(
      running.flatMap(({ stop: { target }, left }) =>
        left
          ? [
              `Run ${left.run.workflowId} has stopped ${inWords(target)} and not started it again: this run starts it with the ${left.replicas} replicas that it had before, also where it is aborted.`,
            ]
          : [],
      ),
    ),
  };
}

/** As many lines as people read, with the number of the others. */
export function firstOf(lines: readonly string[]): string[] {
  const rest = lines.length - mostLines;
  return [...lines.slice(0, mostLines), ...(rest > 0 ? [`  ... and ${rest} more`] : [])];
}

/** The checks of the services that use the database; no pods are restored whose logs could be read. */
export function checksOf(
  { settings }: LoadedSettings,
  { settings: { services } }: Database,
): PlannedCheck[] {
  return services.flatMap((name) =>
    plannedChecks(name, settings.services[name]).filter(({ check }) => check !== 'logs'),
  );
}

/**
 * Plans to clear what the database's caches have of it, since that is of later than the backup. A cache
 * that does not answer must not hold up a restore: it is left out, and said.
 */
export async function planCaches(
  loaded: LoadedSettings,
  { settings: { caches } }: Database,
): Promise<Beside> {
  const parts = await Promise.all(
    caches.map(async (name): Promise<Beside> => {
      const { prefixes } = cacheSettings(loaded.settings.caches, name);
      if (prefixes.length === 0) {
        return nothing(
          `Cache ${name} is not cleared: name what is only cached there in caches.${name}.prefixes.`,
        );
      }
      try {
        return await withCache(loaded, name, async (cache) => {
          const target = cacheTarget(cache);
          const selection = { keys: [], prefixes };
          const clearing = clearingOf(target, selection);
          const count = await countKeys(cache, selection, countingMs);
          return {
            ...{ changes: [{ ...clearing, id: `cache/${name}` }], targets: [target], warnings: [] },
            differences: [
              `cache ${name} (${selectionInWords(selection)}): ${countInWords(count)} -> none`,
            ],
          };
        });
      } catch (error) {
        if (!(error instanceof CacheUnreachable)) throw error;
        return nothing(`${error.message}: it is not part of this plan; clear it afterwards.`);
      }
    }),
  );
  return {
    changes: parts.flatMap(({ changes }) => changes),
    targets: parts.flatMap(({ targets }) => targets),
    differences: parts.flatMap(({ differences }) => differences),
    warnings: parts.flatMap(({ warnings }) => warnings),
  };
}

function nothing(warning: string): Beside {
  return { changes: [], targets: [], differences: [], warnings: [warning] };
}
