/** The Ingress that is made for a host that no other one is about. */
import type { Change, Effect, Mandate } from '../../../contract/plan.ts';
import { stale } from '../../failures.ts';
import { KubernetesError, type Cluster, type Clusters, type ListOf } from '../api.ts';
import { changesBy, inWords, markAfter, objectPath } from '../objects.ts';
import { assertMayUndo } from '../may-undo.ts';
import { compareRedirect } from './compare-redirect.ts';
import { backendOf, type Ingress, isAbout } from './ingress.ts';
import { assertServed } from './maintenance.ts';

export type ExtraReference = {
  exists: boolean;
  host: string;
  service: string;
  port: number | string;
  ingressClass: string | null;
};
export interface ExtraChange extends Change<ExtraReference, ExtraReference> {
  kind: 'ingress/extra';
}
export type ExtraMandate = Mandate<ExtraChange>;

/** Names the host on an Ingress that was made for the time of the maintenance, and is removed after it. */
export const extraAnnotation = 'rollback-workflows/maintenance-of';
const managedByLabel = 'app.kubernetes.io/managed-by';
const managedBy = 'rollback-workflows';

export function extraName(host: string): string {
  return `maintenance-${host.replace('*', 'wildcard')}`;
}

/** The host that the Ingress was made for by a run; undefined for everybody else's. */
export function extraHost({ metadata }: Ingress): string | undefined {
  const isOurs = metadata?.labels?.[managedByLabel] === managedBy;
  return isOurs ? metadata.annotations?.[extraAnnotation] : undefined;
}

const attempts = 10;

/**
 * Makes the Ingress of a host that no other one is about, or removes exactly that one.
 * @throws RolloutBlocked where the maintenance Service could not answer.
 * @throws PlanStale where the host has got an Ingress meanwhile, or the name is somebody else's.
 */
export async function setExtraIngress(clusters: Clusters, mandate: ExtraMandate): Promise<Effect> {
  const { change, undo } = mandate;
  const cluster = clusters.of(change.target.context);
  const to = undo ? change.before : change.after;
  if (!to.exists) await assertMayUndo(mandate, () => compareRedirect(clusters, mandate));
  return to.exists ? make(cluster, mandate, to) : remove(cluster, mandate, to.host);
}

async function make(cluster: Cluster, mandate: ExtraMandate, to: ExtraReference): Promise<Effect> {
  const { target, id } = mandate.change;
  const what = inWords(target);
  const path = objectPath('ingress', target.namespace);
  const { items } = await cluster.get<ListOf<Ingress>>(path);
  const found = items.find(({ metadata }) => metadata?.name === target.name);
  if (found) {
    if (extraHost(found) !== to.host) {
      throw stale(
        `${what} is somebody else's: nothing was changed. Rename it, or redirect by hand.`,
      );
    }
    return { changed: changesBy(found, mandate.run).includes(id), text: `${what} is there.` };
  }
  const other = items.find((ingress) => isAbout(ingress, to.host));
  if (other) {
    throw stale(
      `Ingress ${other.metadata?.name} in ${target.namespace} is about ${to.host} by now, and of two it is not sure which one wins: start again.`,
    );
  }
  await assertServed(cluster, target.namespace, to);
  await cluster.create<Ingress>(path, manifest(mandate, to));
  return { changed: true, text: `${what} now sends ${to.host} to Service ${to.service}.` };
}

function manifest({ change, run }: ExtraMandate, to: ExtraReference): object {
  const { name, namespace } = change.target;
  const mark = markAfter({}, run, change.id);
  const paths = [{ path: '/', pathType: 'Prefix', backend: backendOf(to) }];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      ...{ name, namespace, labels: { [managedByLabel]: managedBy } },
      annotations: { [extraAnnotation]: to.host, [mark.key]: mark.value },
    },
    spec: {
      ...(to.ingressClass === null ? {} : { ingressClassName: to.ingressClass }),
      rules: [{ host: to.host, http: { paths } }],
    },
  };
}

async function remove(cluster: Cluster, mandate: ExtraMandate, host: string): Promise<Effect> {
  const { change, undo, run } = mandate;
  const { target, id } = change;
  const what = inWords(target);
  const path = objectPath('ingress', target.namespace, target.name);
  for (let attempt = 1; ; attempt++) {
    const found = await cluster.find<Ingress>(path);
    // An earlier attempt of this very run may have done it and not lived to say so.
    if (!found) return { changed: true, text: `${what} is gone.` };
    const { uid, resourceVersion } = found.metadata ?? {};
    const isMeant = undo ? changesBy(found, run).includes(id) : uid === target.uid;
    if (!isMeant || extraHost(found) !== host) {
      throw stale(`${what} is not the one that was made for ${host}: it stays.`);
    }
    try {
      await cluster.delete(path, { uid, resourceVersion });
      return { changed: true, text: `${what} is removed.` };
    } catch (error) {
      const raced = error instanceof KubernetesError && [404, 409].includes(error.status);
      if (!raced || attempt === attempts) throw error;
    }
  }
}
