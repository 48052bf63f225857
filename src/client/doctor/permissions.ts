/** Which procedures whoever asks lacks rights for, in a namespace of a cluster. */
import { refusedRights, type Right, rightInWords } from '../../activities/kubernetes/access.ts';
import type { Cluster } from '../../activities/kubernetes/api.ts';
import { rightsFor, rightsOn } from '../../activities/kubernetes/rights.ts';
import type { Settings } from '../../config/schema.ts';
import type { Procedure } from '../../contract/input.ts';
import { CliError } from '../errors.ts';
import type { Place } from './clusters.ts';
import { type Finding, look, Warning } from './findings.ts';

/**
 * What the plan and the steps of each procedure ask of a namespace; deploy/kubernetes-role.yaml grants it.
 * Without one of these a rollback is refused, fails, or goes slower than it could. Deletions, which may be
 * left out on purpose, are not here.
 */
const permissions: Partial<Record<Procedure, Right[]>> = {
  deployment: [
    ...rightsOn('deployment', 'get', 'list'),
    ...rightsFor('deployment/template', 'deployment'),
    ...['list', 'patch'].map((verb) => inNamespace(verb, 'apps', 'replicasets')),
    inNamespace('list', '', 'pods'),
    inNamespace('get', '', 'pods', 'log'),
    ...['resourcequotas', 'limitranges', 'events'].map((kind) => inNamespace('list', '', kind)),
  ],
  'blue-green': [
    ...rightsOn('deployment', 'get', 'list'),
    ...rightsFor('deployment/replicas', 'deployment'),
    ...rightsOn('service', 'get', 'list'),
    ...rightsFor('service/selector', 'service'),
    inNamespace('list', 'discovery.k8s.io', 'endpointslices'),
    inNamespace('list', '', 'pods'),
  ],
  canary: [
    ...(['virtualservice', 'httproute'] as const).flatMap((kind) => [
      ...rightsOn(kind, 'get', 'list'),
      ...rightsFor(`${kind}/routes`, kind),
    ]),
    ...rightsOn('destinationrule', 'list'),
    ...rightsOn('service', 'list'),
    ...rightsOn('deployment', 'get', 'list'),
    ...rightsFor('deployment/replicas', 'deployment'),
    inNamespace('list', '', 'pods'),
  ],
  statefulset: [
    ...rightsOn('statefulset', 'get', 'list'),
    ...rightsFor('statefulset/template', 'statefulset'),
    inNamespace('list', 'apps', 'controllerrevisions'),
    inNamespace('list', '', 'pods'),
    ...['get', 'create'].map((verb) => inNamespace(verb, '', 'pods', 'exec')),
    ...rightsOn('service', 'get', 'list'),
    ...rightsFor('service/stop', 'service'),
    inNamespace('list', 'discovery.k8s.io', 'endpointslices'),
  ],
  // StatefulSets that read the ConfigMap are restarted too, and most ConfigMaps have none.
  'circuit-breaker': [
    ...rightsOn('configmap', 'get'),
    ...rightsFor('configmap/open-breaker', 'configmap'),
    ...rightsOn('deployment', 'list'),
    ...rightsFor('deployment/restart', 'deployment'),
    ...rightsOn('statefulset', 'list'),
    inNamespace('list', 'apps', 'daemonsets'),
    inNamespace('list', '', 'pods'),
  ],
  redirect: [
    ...rightsOn('ingress', 'get', 'list'),
    ...rightsFor('ingress/backends', 'ingress'),
    ...rightsFor('ingress/extra', 'ingress'),
    ...rightsOn('service', 'get'),
    inNamespace('list', 'discovery.k8s.io', 'endpointslices'),
  ],
};

function inNamespace(verb: string, group: string, resource: string, subresource?: string): Right {
  return { verb, group, resource, subresource };
}

/**
 * Each right that is missing is told once, with the procedures that need it. What Deployments lack, and
 * StatefulSets where the settings have one, stands in the way; of the rest a role may know nothing on
 * purpose.
 */
export async function checkPermissions(
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
    const all = new Map(
      Object.values(permissions).flatMap((rights) =>
        rights.map((right) => [rightInWords(right), right] as const),
      ),
    );
    const refused = await installed(
      cluster,
      await refusedRights(cluster, namespace, [...all.values()]),
    );
    if (refused.length === 0) return [true, `all that is needed in ${where}`];
    const byProcedures = new Map<string, string[]>();
    const lacking = new Set<string>();
    for (const words of refused.map(rightInWords)) {
      const needing = Object.entries(permissions)
        .filter(([, rights]) => rights.some((right) => rightInWords(right) === words))
        .map(([procedure]) => procedure);
      for (const procedure of needing) lacking.add(procedure);
      const key = needing.join(', ');
      byProcedures.set(key, [...(byProcedures.get(key) ?? []), words]);
    }
    const told = [...byProcedures].map(([who, rights]) => `${who}: ${rights.join(', ')}`);
    const text = `missing in ${where} for ${told.join('; ')}; apply deploy/kubernetes-role.yaml`;
    const isInTheWay = lacking.has('deployment') || (hasState && lacking.has('statefulset'));
    throw isInTheWay ? new CliError(text) : new Warning(text);
  });
}

/** Without the rights on kinds of Istio or the Gateway API where the cluster has neither. */
async function installed(cluster: Cluster, rights: readonly Right[]): Promise<Right[]> {
  const groups = [...new Set(rights.map(({ group }) => group))].filter(Boolean);
  const served = await Promise.all(
    groups.map(async (group) => (await cluster.find(`/apis/${group}`)) && group),
  );
  return rights.filter(({ group }) => !group || served.includes(group));
}
