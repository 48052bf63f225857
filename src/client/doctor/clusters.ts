/** What `rollback doctor` looks at of clusters: those of the settings' context and of their regions. */
import { type Cluster, Clusters } from '../../activities/kubernetes/api.ts';
import type { Settings } from '../../config/schema.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { refusedRights, type Right } from './access.ts';
import { checkLeftBehind } from './left-behind.ts';
import { checkObjects } from './objects.ts';
import { checkOwners } from './owners.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';
import type { Temporal } from '../temporal.ts';

/**
 * What the plan and the steps of a rollback ask of a namespace; deploy/kubernetes-role.yaml grants
 * it. Without one of these a rollback fails, or goes slower than it could.
 */
const permissions = [
  ...['get', 'list', 'watch', 'patch'].map((verb) => inNamespace(verb, 'apps', 'deployments')),
  ...['list', 'patch'].map((verb) => inNamespace(verb, 'apps', 'replicasets')),
  ...['list', 'watch'].map((verb) => inNamespace(verb, '', 'pods')),
  inNamespace('get', '', 'pods', 'log'),
  ...['resourcequotas', 'limitranges', 'events'].map((kind) => inNamespace('list', '', kind)),
];

/** What the rollback of a StatefulSet asks for beside that. */
const statefulSetPermissions = [
  ...['get', 'list', 'watch', 'patch'].map((verb) => inNamespace(verb, 'apps', 'statefulsets')),
  inNamespace('list', 'apps', 'controllerrevisions'),
  inNamespace('list', '', 'services'),
  inNamespace('delete', '', 'pods'),
  ...['get', 'create'].map((verb) => inNamespace(verb, '', 'pods', 'exec')),
];

function inNamespace(verb: string, group: string, resource: string, subresource?: string): Right {
  return { verb, group, resource, subresource };
}

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

async function checkPermissions(
  findings: Finding[],
  { kubernetes, services }: Settings,
  { cluster, namespace, where }: Place,
): Promise<void> {
  const hasState = Object.values(services).some(
    (service) =>
      service.statefulSet !== undefined &&
      (service.namespace ?? kubernetes.namespace) === namespace,
  );
  await look(findings, 'permissions', async () => {
    const needed = [...permissions, ...(hasState ? statefulSetPermissions : [])];
    const refused = await refusedRights(cluster, namespace, needed);
    if (refused.length === 0) return [true, `all that is needed in ${where}`];
    throw new CliError(
      `missing in ${where}: ${refused.join(', ')}; apply deploy/kubernetes-role.yaml`,
    );
  });
}
