/** What `rollback doctor` looks at of clusters: those of the settings' context and of their regions. */
import { type Cluster, Clusters } from '../../activities/kubernetes/api.ts';
import type { Settings } from '../../config/schema.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { checkLeftBehind } from './left-behind.ts';
import { checkObjects } from './objects.ts';
import { checkOwners } from './owners.ts';
import { type Finding, look } from './findings.ts';
import { checkPermissions } from './permissions.ts';
import type { Temporal } from '../temporal.ts';

/**
 * Whether the clusters answer, let in who asks, and have what the settings name; and what runs left
 * there, which `mend` puts back.
 */
export async function checkClusters(
  findings: Finding[],
  { settings }: LoadedSettings,
  temporal: Temporal,
  mend: boolean,
): Promise<void> {
  const clusters = new Clusters(settings.kubernetes.context);
  const [own, ...regional] = await Promise.all([
    checkReached(findings, clusters, settings.kubernetes.context),
    ...Object.entries(settings.regions).map(([name, { context, taskQueue }]) =>
      checkReached(findings, clusters, context, { name, hasWorker: taskQueue !== undefined }),
    ),
  ]);
  // A region may be the cluster of the settings' context, or share one with another.
  const reached = [...new Set([own, ...regional])].filter((cluster) => cluster !== undefined);
  if (reached.length === 0) return;
  const isOne = reached.length === 1;
  await Promise.all([
    ...reached.flatMap((cluster) =>
      namespacesOf(settings).flatMap((namespace) => {
        const where = `namespace ${namespace}${isOne ? '' : ` of context ${cluster.context}`}`;
        return [
          checkPermissions(findings, settings, { cluster, namespace, where }),
          checkLeftBehind(findings, temporal, { cluster, namespace, where }, mend),
        ];
      }),
    ),
    checkObjects(findings, settings, reached),
    own && checkOwners(findings, clusters, withRegions(settings, reached)),
  ]);
}

/** A namespace of a cluster, in words too. */
export interface Place {
  cluster: Cluster;
  namespace: string;
  where: string;
}

function checkReached(
  findings: Finding[],
  clusters: Clusters,
  context: string | undefined,
  region?: { name: string; hasWorker: boolean },
): Promise<Cluster | undefined> {
  return look(
    findings,
    'kubernetes',
    async () => {
      const found = clusters.of(context);
      const { gitVersion } = await found.get<{ gitVersion: string }>('/version');
      const words = `${found.server}, context ${found.context}, ${gitVersion}`;
      return [found, region ? `region ${region.name}: ${words}` : words];
    },
    {
      // The worker of a region may be the only one that reaches it.
      isElsewhere: region?.hasWorker === true,
      ...(region ? { remedy: `Make it so, or correct regions.${region.name}.context.` } : {}),
    },
  );
}

function namespacesOf({ kubernetes, services }: Settings): string[] {
  const others = Object.values(services).map(({ namespace }) => namespace ?? kubernetes.namespace);
  return [...new Set([kubernetes.namespace, ...others])];
}

/** The settings with those regions alone that are in one of the clusters. */
function withRegions(settings: Settings, clusters: readonly Cluster[]): Settings {
  const contexts = clusters.map(({ context }) => context);
  const regions = Object.entries(settings.regions).filter(([, { context }]) =>
    contexts.includes(context),
  );
  return { ...settings, regions: Object.fromEntries(regions) };
}
