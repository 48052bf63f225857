import { findService } from '../../../config/services.ts';
import type { Settings } from '../../../config/schema.ts';
import type { LoadedSettings } from '../../../config/settings.ts';
import { digestPlan, hashOf } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan, PlannedCheck } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import { type Clusters, KubernetesError, type ListOf } from '../api.ts';
import { objectPath, targetOf } from '../objects.ts';
import { extraHost, extraName } from './extra-ingress.ts';
import {
  type BackendsChange,
  type Ingress,
  isAbout,
  type Maintenance,
  partOf,
  type Redirected,
  redirectedAnnotation,
  redirectedOf,
  referenceOf,
  servicesOf,
  swapped,
} from './ingress.ts';
import { servingOf, whyNotServed } from './maintenance.ts';
import { extraOf, extraWarnings, removalOf, type Wish } from './plan-extra.ts';

/**
 * Plans R17: which Ingresses decide about the host's traffic, and where they send it. Reads only;
 * needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planRedirect(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'redirect'>,
): Promise<Plan> {
  const { maintenance } = settings;
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? maintenance.namespace ?? settings.kubernetes.namespace;
  const host = input.host ?? maintenance.host;
  if (host === undefined) {
    throw refused('No host is named: give it with --host, or as maintenance.host in the settings.');
  }
  const wish = { cluster, namespace, host };
  if (input.state === 'off') return planOff(wish, settings);
  const service = input.service ?? maintenance.service;
  if (service === undefined) {
    throw refused(
      'No maintenance Service is named: give it with --service, or as maintenance.service in the settings.',
    );
  }
  return planOn(wish, { service, port: input.port ?? maintenance.port }, settings);
}

async function planOn(wish: Wish, maintenance: Maintenance, settings: Settings): Promise<Plan> {
  const { cluster, namespace, host } = wish;
  const { ingressClass } = settings.maintenance;
  const why = await whyNotServed(cluster, namespace, maintenance);
  if (why !== undefined) throw refused(why);
  const { ingresses, warnings } = await readIngresses(wish);
  const concerned = ingresses.filter((ingress) => isAbout(ingress, host));
  assertSameNamespace(concerned, wish, maintenance);
  const toSwap = concerned
    .map((ingress) => ({ ingress, change: swapOf(wish, ingress, maintenance) }))
    .filter(({ change }) => change.before.backends !== change.after.backends);
  const extra = concerned.length === 0 ? extraOf(wish, ingresses, maintenance, ingressClass) : [];
  const changes: Change[] = [...toSwap.map(({ change }) => change), ...extra];
  const page = `Service ${maintenance.service} (port ${maintenance.port})`;
  if (changes.length === 0) return nothingToDo(`${host} already goes to ${page}: nothing to do.`);
  const how = toSwap.map(({ ingress }) => ingress.metadata?.name).join(', ');
  return digestPlan({
    ...{ procedure: 'redirect', targets: changes.map(({ target }) => target), changes },
    summary: `The traffic of ${host} goes to ${page} by ${how ? `Ingress ${how}` : `a new Ingress ${extraName(host)}, since no other one is about that host`}.`,
    differences: toSwap.map(({ ingress }) => {
      const before = servicesOf(partOf(ingress, host)).join(', ') || 'no Service';
      return `Ingress ${ingress.metadata?.name}: ${before} -> ${maintenance.service}`;
    }),
    warnings: [
      ...warnings,
      ...toSwap.flatMap(({ ingress }) => swapWarnings(ingress, host)),
      ...(extra.length > 0 ? extraWarnings(ingresses, host, ingressClass) : []),
    ],
    checks: checksOf(settings, namespace, maintenance.service, changes[0]),
    estimateSeconds: 1,
  });
}

async function planOff(wish: Wish, settings: Settings): Promise<Plan> {
  const { cluster, namespace, host } = wish;
  const path = objectPath('ingress', namespace);
  const { items } = await cluster.get<ListOf<Ingress>>(path);
  const extra = items.filter((ingress) => extraHost(ingress) === host);
  const noted = items.filter(
    (ingress) => !extra.includes(ingress) && isStillRedirected(ingress, host),
  );
  if (extra.length + noted.length === 0) {
    return nothingToDo(`No run has redirected ${host} in ${namespace}: nothing to do.`);
  }
  const swaps = noted.map((ingress) => restoreOf(wish, ingress));
  const before = noted.map((ingress) => redirectedOf(ingress)[host]?.before ?? { rules: [] });
  const services = [...new Set(before.flatMap(servicesOf))].sort();
  const serving = await servingOf(cluster, namespace, services);
  const silent = services.filter((service) => !serving.includes(service));
  if (services.length > 0 && serving.length === 0) {
    throw refused(
      `None of the Services that would get the traffic of ${host} back (${services.join(', ')}) has a ready endpoint: bring them up first, for example with rollback deployment.`,
    );
  }
  const changes: Change[] = [...swaps, ...extra.map((ingress) => removalOf(wish, ingress))];
  const names = changes.map(({ target }) => target.name).join(', ');
  return digestPlan({
    ...{ procedure: 'redirect', targets: changes.map(({ target }) => target), changes },
    summary: `The traffic of ${host} goes back to ${services.join(', ') || 'where it went without an Ingress of its own'} (Ingress ${names}).`,
    differences: changes.map(({ kind, target }, index) =>
      kind === 'ingress/extra'
        ? `Ingress ${target.name}: removed`
        : `Ingress ${target.name}: maintenance -> ${servicesOf(before[index] ?? { rules: [] }).join(', ')}`,
    ),
    warnings: silent.map(
      (service) => `Service ${service} has no ready endpoint: its part of the traffic will fail.`,
    ),
    checks: services.flatMap((service) => checksOf(settings, namespace, service, swaps[0])),
    estimateSeconds: 1,
  });
}

function nothingToDo(summary: string): Plan {
  return digestPlan({
    ...{ procedure: 'redirect', targets: [], changes: [], summary },
    ...{ differences: [], warnings: [], checks: [], estimateSeconds: 0 },
  });
}

function swapOf(
  { cluster, host }: Wish,
  ingress: Ingress,
  maintenance: Maintenance,
): BackendsChange {
  const now = partOf(ingress, host);
  const noted = isStillRedirected(ingress, host) ? assertAsRedirected(ingress, host) : undefined;
  const before = noted?.before ?? now;
  return {
    ...{ id: `ingress/${ingress.metadata?.name}`, kind: 'ingress/backends' },
    target: targetOf('ingress', cluster, ingress),
    before: referenceOf(host, now, noted),
    after: referenceOf(host, swapped(before, maintenance), maintenance),
  };
}

/** Whether a run has redirected the host there, and nobody has put back exactly what was before. */
function isStillRedirected(ingress: Ingress, host: string): boolean {
  const noted = redirectedOf(ingress)[host];
  return noted !== undefined && hashOf(noted.before) !== hashOf(partOf(ingress, host));
}

function restoreOf({ cluster, host }: Wish, ingress: Ingress): BackendsChange {
  const noted = assertAsRedirected(ingress, host);
  return {
    ...{ id: `ingress/${ingress.metadata?.name}`, kind: 'ingress/backends' },
    target: targetOf('ingress', cluster, ingress),
    before: referenceOf(host, partOf(ingress, host), noted),
    after: referenceOf(host, noted.before),
  };
}

/**
 * What was noted on an Ingress when the host was redirected.
 * @throws Refused where somebody has changed the Ingress since then.
 */
function assertAsRedirected(ingress: Ingress, host: string): Redirected {
  const noted = redirectedOf(ingress)[host];
  if (!noted) throw new Error('An Ingress that is restored was redirected.');
  if (hashOf(swapped(noted.before, noted)) === hashOf(partOf(ingress, host))) return noted;
  const { name, namespace } = ingress.metadata ?? {};
  throw refused(
    `Somebody has changed what Ingress ${name} in ${namespace} says about ${host} after run ${noted.run} redirected it: look at it, put it right by hand (its annotation ${redirectedAnnotation} tells what was there), and remove that annotation.`,
  );
}

/** Ingresses of the whole cluster, since any may be about the host; of the namespace where others may not be read. */
async function readIngresses({
  cluster,
  namespace,
}: Wish): Promise<{ ingresses: Ingress[]; warnings: string[] }> {
  try {
    const { items } = await cluster.get<ListOf<Ingress>>('/apis/networking.k8s.io/v1/ingresses');
    return { ingresses: items, warnings: [] };
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 403) throw error;
    const { items } = await cluster.get<ListOf<Ingress>>(objectPath('ingress', namespace));
    const warning =
      'The worker may not list the Ingresses of other namespaces, so it cannot tell whether one of them is about the host as well.';
    return { ingresses: items, warnings: [warning] };
  }
}

/** @throws Refused where an Ingress of another namespace is about the host. */
function assertSameNamespace(
  concerned: Ingress[],
  { namespace, host }: Wish,
  { service }: Maintenance,
): void {
  const elsewhere = concerned.find(({ metadata }) => metadata?.namespace !== namespace);
  if (!elsewhere) return;
  const { name, namespace: other } = elsewhere.metadata ?? {};
  throw refused(
    `Ingress ${name} in namespace ${other} is about ${host}, and an Ingress sends traffic to Services of its own namespace only: Service ${service} in ${namespace} is out of its reach. Make a maintenance Service in ${other}, and name that namespace with --namespace, or as maintenance.namespace in the settings.`,
  );
}

function swapWarnings(ingress: Ingress, host: string): string[] {
  const { metadata, spec } = ingress;
  const warnings: string[] = [];
  const { defaultBackend } = partOf(ingress, host);
  if (spec?.defaultBackend && !defaultBackend) {
    warnings.push(
      `Ingress ${metadata?.name} is about other hosts as well, so its default backend stays: paths of ${host} that none of its rules has still go there.`,
    );
  }
  return warnings;
}

function checksOf(
  settings: Settings,
  namespace: string,
  service: string,
  change: Change | undefined,
): PlannedCheck[] {
  const [name, known] = findService(settings, { kind: 'service', namespace, name: service });
  // Logs are counted of pods that a change has made or chosen, and this one has done neither.
  return plannedChecks(name, known, change?.id).filter(({ check }) => check !== 'logs');
}
