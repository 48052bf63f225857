/** What `rollback doctor` looks at of the objects that the settings name. */
import type { Cluster } from '../../activities/kubernetes/api.ts';
import { inWords, type KubernetesObject, objectPath } from '../../activities/kubernetes/objects.ts';
import { readEndpoints } from '../../activities/kubernetes/service/endpoints.ts';
import type { Service } from '../../activities/kubernetes/service/service.ts';
import type { Settings } from '../../config/schema.ts';
import type { TargetKind } from '../../contract/plan.ts';
import { CliError } from '../errors.ts';
import { type Finding, look, Warning } from './findings.ts';

/** An object of the settings, and the setting that names it. */
interface Named {
  kind: TargetKind;
  namespace: string;
  name: string;
  setting: string;
}

interface Found<T> {
  cluster: Cluster;
  object: T;
}

/** Whether each is there, in one of the clusters: not everything is in every region. */
export async function checkObjects(
  findings: Finding[],
  settings: Settings,
  clusters: readonly Cluster[],
): Promise<void> {
  const { circuitBreaker, maintenance, services, kubernetes } = settings;
  const { configMap } = circuitBreaker;
  await Promise.all([
    ...Object.entries(services).map(([name, service]) => {
      const parts = partsOf(name, service, kubernetes.namespace);
      return parts.length > 0 && checkService(findings, clusters, name, parts);
    }),
    configMap !== undefined &&
      look(findings, 'circuit breaker', async () => {
        const namespace = circuitBreaker.namespace ?? kubernetes.namespace;
        const setting = 'circuitBreaker.configMap';
        const named: Named = { kind: 'configmap', namespace, name: configMap, setting };
        return [true, told(named, await find(clusters, named))];
      }),
    maintenance.service !== undefined && checkMaintenance(findings, settings, clusters),
  ]);
}

function partsOf(
  key: string,
  { deployment, statefulSet, service, namespace: own }: Settings['services'][string],
  defaultNamespace: string,
): Named[] {
  const namespace = own ?? defaultNamespace;
  const part = (kind: TargetKind, field: string, name: string | undefined): Named[] =>
    name === undefined ? [] : [{ kind, namespace, name, setting: `services.${key}.${field}` }];
  return [
    ...part('deployment', 'deployment', deployment),
    ...part('statefulset', 'statefulSet', statefulSet),
    ...part('service', 'service', service),
  ];
}

async function checkService(
  findings: Finding[],
  clusters: readonly Cluster[],
  key: string,
  parts: readonly Named[],
): Promise<void> {
  await look(findings, 'service', async () => {
    const found = await Promise.allSettled(parts.map((part) => find(clusters, part)));
    const texts = found.map((part, index) => {
      if (part.status === 'rejected') throw part.reason;
      return told(parts[index] as Named, part.value);
    });
    return [true, `${key}: ${texts.join(', ')}`];
  });
}

async function checkMaintenance(
  findings: Finding[],
  { maintenance, kubernetes }: Settings,
  clusters: readonly Cluster[],
): Promise<void> {
  const { service: name = '', port } = maintenance;
  const namespace = maintenance.namespace ?? kubernetes.namespace;
  await look(findings, 'maintenance page', async () => {
    const named: Named = { kind: 'service', namespace, name, setting: 'maintenance.service' };
    const found = await find<Service>(clusters, named);
    const without = found.filter(
      ({ object }) => !object.spec?.ports?.some((one) => one.port === port || one.name === port),
    );
    if (without.length > 0) {
      throw new CliError(`${told(named, without)} has no port ${port}: correct maintenance.port`);
    }
    const endpoints = await Promise.all(
      found.map(async ({ cluster }) => (await readEndpoints(cluster, namespace, name)).ready),
    );
    const silent = found.filter((_, index) => endpoints[index]?.length === 0);
    if (silent.length === 0) return [true, `${told(named, found)}, port ${port}`];
    throw new Warning(
      `${told(named, silent)} has no ready endpoint, and no redirect goes there until it has: bring its pods up`,
    );
  });
}

/** @throws {CliError} where none of the clusters has it. */
async function find<T extends KubernetesObject>(
  clusters: readonly Cluster[],
  named: Named,
): Promise<Found<T>[]> {
  const { kind, namespace, name, setting } = named;
  const found = await Promise.all(
    clusters.map(async (cluster) => {
      const object = await cluster.find<T>(objectPath(kind, namespace, name));
      return object === undefined ? [] : [{ cluster, object }];
    }),
  );
  if (found.flat().length > 0) return found.flat();
  const contexts = clusters.map(({ context }) => context).join(', ');
  throw new CliError(
    `there is no ${inWords(named)} of context ${contexts}: make it, or correct ${setting}`,
  );
}

function told(named: Named, found: readonly Found<KubernetesObject>[]): string {
  return `${inWords(named)} of context ${found.map(({ cluster }) => cluster.context).join(', ')}`;
}
