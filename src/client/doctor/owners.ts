/** What is held, and whether the owners that are there could be. */
import { refusedRights, rightInWords } from '../../activities/kubernetes/access.ts';
import type { Cluster, Clusters } from '../../activities/kubernetes/api.ts';
import { listHolds } from '../../activities/owners/list-holds.ts';
import type { Settings } from '../../config/schema.ts';
import { age } from '../output.ts';
import { CliError } from '../errors.ts';
import { type Finding, look } from './findings.ts';

/** Where each kind of owner is, and what a hold asks of it. */
const kinds = [
  { api: '/apis/argoproj.io/v1alpha1', resource: 'applications', verbs: ['get', 'patch'] },
  { api: '/apis/argoproj.io/v1alpha1', resource: 'applicationsets', verbs: ['get', 'patch'] },
  {
    api: '/apis/kustomize.toolkit.fluxcd.io/v1',
    resource: 'kustomizations',
    verbs: ['get', 'patch'],
  },
  { api: '/apis/helm.toolkit.fluxcd.io/v2', resource: 'helmreleases', verbs: ['get', 'patch'] },
  { api: '/apis/flagger.app/v1beta1', resource: 'canaries', verbs: ['get', 'list', 'patch'] },
  {
    api: '/apis/argoproj.io/v1alpha1',
    resource: 'rollouts',
    verbs: ['get', 'list', 'watch', 'patch'],
  },
  {
    api: '/apis/argoproj.io/v1alpha1',
    resource: 'rollouts',
    subresource: 'status',
    verbs: ['patch'],
  },
];

/** Whether what is installed can be held, and what is; of the regions that the settings have. */
export async function checkOwners(
  findings: Finding[],
  clusters: Clusters,
  settings: Settings,
): Promise<void> {
  const owners = look(findings, 'owners', async () => {
    const missing = await missingRights(clusters, settings);
    if (missing.length === 0) return [true, 'those that are installed can be held'];
    throw new CliError(
      `those that are installed cannot all be held: missing ${missing.join(', ')}; apply deploy/kubernetes-role.yaml`,
    );
  });
  const holds = look(findings, 'held', async () => {
    const { held, unseen } = await listHolds(clusters, settings, {});
    const notSeen = unseen.length > 0 ? `; not seen: ${unseen.join('; ')}` : '';
    if (held.length === 0) return [true, `nothing${notSeen}`];
    const names = held.map(
      ({ owner: { kind, namespace, name }, reasons }) =>
        `${kind}/${name} in ${namespace} for ${age(reasons[0]?.at)}`,
    );
    return [true, `${names.join(', ')}; see rollback holds${notSeen}`];
  });
  await Promise.all([owners, holds]);
}

async function missingRights(clusters: Clusters, { owners, kubernetes }: Settings) {
  const own = clusters.of(undefined);
  const argo = clusters.of(owners.argoCd.context);
  const installed = new Map<string, Promise<Set<string>>>();
  const missing = await Promise.all(
    kinds.map(async ({ api, resource, subresource, verbs }) => {
      const isArgoCd = resource.startsWith('application');
      const cluster = isArgoCd ? argo : own;
      const key = `${cluster.context} ${api}`;
      const known = installed.get(key) ?? resourcesOf(cluster, api);
      installed.set(key, known);
      if (!(await known).has(resource)) return [];
      const namespace = isArgoCd
        ? owners.argoCd.namespace
        : api.includes('toolkit')
          ? owners.flux.namespace
          : kubernetes.namespace;
      const group = api.split('/')[2];
      const rights = verbs.map((verb) => ({ verb, group, resource, subresource }));
      const refused = await refusedRights(cluster, namespace, rights);
      return refused.map((right) => `${rightInWords(right)} in ${namespace}`);
    }),
  );
  return missing.flat();
}

/** Plurals of what is installed of an API group. */
async function resourcesOf(cluster: Cluster, api: string): Promise<Set<string>> {
  const found = await cluster.find<{ resources?: { name: string }[] }>(api);
  return new Set(found?.resources?.map(({ name }) => name));
}
