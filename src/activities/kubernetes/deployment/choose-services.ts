import { hostname } from 'node:os';
import type { Settings } from '../../../config/schema.ts';
import { durationMs } from '../../../contract/duration.ts';
import type { InputOf } from '../../../contract/input.ts';
import { refused } from '../../failures.ts';
import type { Cluster, ListOf } from '../api.ts';
import { isOwnedBy, objectPath } from '../objects.ts';
import { secondsSince } from '../pods.ts';
import { versionDigest } from '../templates.ts';
import type { Deployment, ReplicaSet } from './revisions.ts';

/** Label of the Deployment that a worker of this project runs in, which `all` leaves alone. */
const workerLabel = 'rollback-workflows/worker';

export interface Chosen {
  namespace: string;
  name: string;
}

/**
 * The Deployments that a run over several services is about: those that are named, or all of the
 * namespace that could go back, with a sentence for each that is left out.
 * @throws Refused where nothing is named, or both are said.
 */
export async function chooseServices(
  cluster: Cluster,
  settings: Settings,
  input: InputOf<'services'>,
): Promise<{ chosen: Chosen[]; leftOut: string[] }> {
  if (input.all) return chooseAll(cluster, settings, input);
  return { chosen: chooseNamed(settings, input), leftOut: [] };
}

function chooseNamed(settings: Settings, input: InputOf<'services'>): Chosen[] {
  const names = input.services ?? [];
  if (names.length === 0) {
    throw refused('No service is named: name some, or say all (--all) for the whole namespace.');
  }
  const chosen = names.map((name) => {
    const service = Object.hasOwn(settings.services, name) ? settings.services[name] : undefined;
    const namespace = input.namespace ?? service?.namespace ?? settings.kubernetes.namespace;
    return { namespace, name: service?.deployment ?? name };
  });
  const distinct = new Map(chosen.map((one) => [`${one.namespace}/${one.name}`, one]));
  return [...distinct.values()];
}

async function chooseAll(
  cluster: Cluster,
  settings: Settings,
  input: InputOf<'services'>,
): Promise<{ chosen: Chosen[]; leftOut: string[] }> {
  if (input.services) {
    throw refused('Services are named and all is said as well: leave one of the two out.');
  }
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const [deployments, sets] = await Promise.all([
    cluster.get<ListOf<Deployment>>(objectPath('deployment', namespace)),
    cluster.get<ListOf<ReplicaSet>>(`/apis/apps/v1/namespaces/${namespace}/replicasets`),
  ]);
  const chosen: Chosen[] = [];
  const leftOut: string[] = [];
  for (const { metadata } of deployments.items) {
    const { name = '', uid, labels = {} } = metadata ?? {};
    const history = sets.items.filter((set) => isOwnedBy(set, uid));
    const controller = metadata?.ownerReferences?.find((owner) => owner.controller);
    const ages = agesOfVersions(history);
    if (labels[workerLabel] !== undefined || runsHere(name)) {
      leftOut.push(`Left out: ${name}, the rollback's own worker.`);
    } else if (controller?.kind === 'Canary') {
      leftOut.push(
        `Left out: ${name}, which Flagger copies and which goes back with what it copies.`,
      );
    } else if (ages.length < 2) {
      leftOut.push(`Left out: ${name}, which has no earlier revision.`);
    } else if (input.since && Math.min(...ages) * 1000 > durationMs(input.since)) {
      leftOut.push(`Left out: ${name}, which was not released within ${input.since}.`);
    } else chosen.push({ namespace, name });
  }
  return { chosen, leftOut };
}

/** Seconds since each version was released first, which a restart is not. */
function agesOfVersions(history: readonly ReplicaSet[]): number[] {
  const ages = new Map<string, number>();
  for (const { metadata, spec } of history) {
    const version = versionDigest(spec?.template);
    const age = secondsSince(metadata?.creationTimestamp) ?? Infinity;
    ages.set(version, Math.max(age, ages.get(version) ?? 0));
  }
  return [...ages.values()];
}

/** Whether this very process is in a pod of that Deployment. */
function runsHere(deployment: string): boolean {
  const inCluster = process.env.KUBERNETES_SERVICE_HOST !== undefined;
  return inCluster && new RegExp(`^${deployment}-[a-z0-9]+-[a-z0-9]{5}$`).test(hostname());
}
