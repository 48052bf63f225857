import type { LoadedSettings } from '../../../config/settings.ts';
import { findService } from '../../../config/services.ts';
import { digestPlan, hashOf } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { type DestinationRule, isOfCanaryAlone, subsetsOf } from '../../istio/destination-rule.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Clusters, ListOf } from '../api.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { fieldsAt } from '../fields.ts';
import { objectPath, targetOf } from '../objects.ts';
import { templateDigest } from '../templates.ts';
import {
  concernedOf,
  type RemovalChange,
  type RoutesChange,
  type ScaleChange,
} from './canary-change.ts';
import { findCanaryOwners } from './canary-owners.ts';
import { replicasOf } from './drive-scale.ts';
import {
  type Asked,
  findCanary,
  matches,
  podLabels,
  turnRoutes,
  type TurnedRouter,
  withoutCanary,
} from './find-canary.ts';
import { type Mesh, readMesh, selectorOf } from './mesh.ts';
import { isOfCanary, readReadiness, type Sides } from './sides.ts';

/** What belongs to a canary, as it stands. */
interface Canary {
  mesh: Mesh;
  asked: Asked;
  sides: Sides;
  turned: TurnedRouter[];
  deployments: Deployment[];
  /** Rules that name it, also beside others. */
  rules: DestinationRule[];
}

/**
 * Plans R7: which routes are turned away from a service's canary and how, which Deployment goes to
 * zero, and what is deleted after that. Reads only; needs no Temporal.
 * @throws Refused where it must not be done, with what to do instead.
 */
export async function planCanaryRollback(
  clusters: Clusters,
  { settings }: LoadedSettings,
  input: InputOf<'canary'>,
): Promise<Plan> {
  const cluster = clusters.of(input.context);
  const namespace = input.namespace ?? settings.kubernetes.namespace;
  const { service } = input;
  const [serviceName, own] = ['service', 'deployment']
    .map((kind) =>
      findService(settings, { kind: kind as 'service' | 'deployment', namespace, name: service }),
    )
    .find(([, found]) => found) ?? ['', undefined];
  const asked: Asked = {
    service,
    canary: input.canary ?? own?.canary,
    stable: input.stable ?? own?.stable,
  };
  const [mesh, { items: deployments }] = await Promise.all([
    readMesh(cluster, namespace),
    cluster.get<ListOf<Deployment>>(objectPath('deployment', namespace)),
  ]);
  if (mesh.services.length === 0 && !(await cluster.find(`/api/v1/namespaces/${namespace}`))) {
    throw refused(
      `There is no namespace ${namespace} in context ${cluster.context}: name another with --namespace.`,
    );
  }

  const destinations = findCanary(mesh, deployments, asked);
  if (destinations.length === 0) return nothingToDo(withoutCanary(mesh, asked, []));
  const { turned, sides } = turnRoutes(mesh, destinations, asked);
  // Without a route to either side nobody can tell how requests get there.
  if (sides.stable.length === 0 && turned.length === 0) withoutCanary(mesh, asked, destinations);
  const canary: Canary = {
    ...{ mesh, asked, sides, turned },
    deployments: deployments.filter((one) => isCanarys(mesh, sides, asked, one)),
    rules: mesh.rules.filter((rule) => names(rule, destinations)),
  };
  const owners = await findCanaryOwners(
    mesh,
    service,
    turned.map(({ router }) => router),
    canary.deployments,
    canary.rules,
  );
  const changes = changesOf(canary, input.keep, owners.isOwned);
  const changed = changes.map(({ target }) => target);
  const targets = changed.filter(
    ({ uid }, index) => changed.findIndex((other) => other.uid === uid) === index,
  );
  if (changes.length === 0) return nothingToDo(gone(canary));
  const warning = await assertReady(canary, changes);
  return digestPlan({
    procedure: 'canary',
    targets,
    changes,
    summary: summaryOf(canary, changes),
    differences: differencesOf(canary, changes),
    warnings: [
      ...warning,
      ...owners.warnings,
      ...statements(canary, changes, input.keep, owners.isOwned),
    ],
    checks: plannedChecks(serviceName, own),
    estimateSeconds: 5,
  });
}

function nothingToDo(summary: string): Plan {
  return digestPlan({
    ...{ procedure: 'canary', targets: [], changes: [], summary },
    ...{ differences: [], warnings: [], checks: [], estimateSeconds: 0 },
  });
}

/**
 * Whether a Deployment makes the canary's pods. Where a subset is no longer made by any rule, the
 * runbook's name for it tells, as long as its pods are the service's and not the stable side's.
 */
function isCanarys(mesh: Mesh, sides: Sides, asked: Asked, deployment: Deployment): boolean {
  const labels = podLabels(deployment);
  if (isOfCanary(mesh, sides, labels)) return true;
  const isMade = sides.canary.every((destination) => selectorOf(mesh, destination));
  const isNamed = deployment.metadata?.name === (asked.canary ?? `${asked.service}-canary`);
  const ofService = selectorOf(mesh, asked.service);
  if (isMade || !isNamed || !ofService || !matches(ofService, labels)) return false;
  return sides.stable.every((destination) => {
    const selector = selectorOf(mesh, destination);
    return destination === asked.service || (selector && !matches(selector, labels));
  });
}

function names(rule: DestinationRule, canary: readonly string[]): boolean {
  return isOfCanaryAlone(rule, canary) || subsetsOf(rule).some((one) => canary.includes(one));
}

function changesOf(
  { mesh: { cluster }, sides, turned, deployments, rules }: Canary,
  keep: boolean,
  isOwned: (object: Deployment | DestinationRule) => boolean,
): Change[] {
  const concerned = concernedOf(sides);
  const routes = turned.map(({ router: { kind, object }, after }): RoutesChange => {
    const target = targetOf(kind, cluster, object);
    return {
      ...{ id: `routes/${kind}/${target.name}`, kind: `${kind}/routes`, target },
      before: { ...concerned, ...fieldsAt(object, Object.keys(after)) },
      after: { ...concerned, ...after },
    };
  });
  const scaled = deployments
    .filter((deployment) => replicasOf(deployment) > 0)
    .map((deployment): ScaleChange => {
      const target = targetOf('deployment', cluster, deployment);
      return {
        ...{ id: `replicas/${target.name}`, kind: 'deployment/replicas', target },
        before: { ...concerned, running: true },
        after: { ...concerned, running: false },
      };
    });
  if (keep) return [...routes, ...scaled];
  const removal = (
    kind: 'deployment' | 'destinationrule',
    object: Deployment | DestinationRule,
    content: string,
  ): RemovalChange => {
    const target = targetOf(kind, cluster, object);
    return {
      ...{ id: `removal/${kind}/${target.name}`, kind: `${kind}/removal`, target },
      before: { ...concerned, content },
      after: { ...concerned, content: null },
    };
  };
  return [
    ...[...routes, ...scaled],
    ...rules
      .filter((rule) => isOfCanaryAlone(rule, sides.canary) && !isOwned(rule))
      .map((rule) => removal('destinationrule', rule, hashOf(rule.spec))),
    ...deployments
      .filter((deployment) => !isOwned(deployment))
      .map((deployment) =>
        removal('deployment', deployment, templateDigest(deployment.spec?.template)),
      ),
  ];
}

/**
 * Requests go only where a pod is ready for them.
 * @returns what people should know
 * @throws Refused where only the canary has ready pods.
 */
async function assertReady({ mesh, sides }: Canary, changes: Change[]): Promise<string[]> {
  const takesAway = changes.some(({ kind }) => !kind.endsWith('/removal'));
  if (!takesAway || sides.stable.length === 0) return [];
  const { canary, stable, text } = await readReadiness(mesh, sides);
  if (stable > 0) return [];
  if (canary === 0) {
    return [`Neither side has ready pods (${text}): this takes the canary out, and mends nothing.`];
  }
  throw refused(
    `${sides.stable.join(' and ')} in ${mesh.namespace} cannot take over: only the canary has ready pods (${text}). Bring the stable side up first, for example with rollback deployment NAME -n ${mesh.namespace}.`,
  );
}

function summaryOf({ mesh, asked, sides, turned }: Canary, changes: Change[]): string {
  const of = (kind: string) =>
    changes
      .filter((change) => change.kind.endsWith(kind))
      .map(({ target }) => `${target.kind} ${target.name}`)
      .join(', ');
  const [scaled, removed] = [of('/replicas'), of('/removal')];
  const parts = [
    turned.length > 0 ? `its traffic goes to ${sides.stable.join(', ') || 'nobody'}` : '',
    scaled && `${scaled} is scaled to zero`,
    removed && `${removed} ${removed.includes(',') ? 'are' : 'is'} deleted`,
  ].filter(Boolean);
  return `The canary of ${asked.service} in ${mesh.namespace} (${sides.canary.join(', ')}) is taken out: ${parts.join(', then ')}.`;
}

function differencesOf({ turned, deployments }: Canary, changes: Change[]): string[] {
  return [
    ...turned.flatMap(({ lines }) => lines),
    ...deployments
      .filter((deployment) => replicasOf(deployment) > 0)
      .map((one) => `Deployment ${one.metadata?.name}: ${replicasOf(one)} replicas -> 0`),
    ...changes
      .filter(({ kind }) => kind.endsWith('/removal'))
      .map(({ target }) => `${target.kind} ${target.name}: deleted`),
  ];
}

/** What is left, and what cannot be taken back. */
function statements(
  { sides, deployments, rules }: Canary,
  changes: Change[],
  keep: boolean,
  isOwned: (object: Deployment | DestinationRule) => boolean,
): string[] {
  const lines: string[] = [];
  const removed = changes.filter(({ kind }) => kind.endsWith('/removal'));
  if (removed.length > 0) {
    lines.push(
      'What is deleted at the end, once the service is verified, comes back by its manifest only: --keep leaves it.',
    );
  }
  if (deployments.length === 0) {
    lines.push('No Deployment is the canary’s alone, so none is scaled or deleted.');
  }
  if (keep) return lines;
  for (const rule of rules.filter((one) => !isOfCanaryAlone(one, sides.canary))) {
    lines.push(
      `DestinationRule ${rule.metadata?.name} is about others too and stays, with the subset of the canary, which gets no traffic.`,
    );
  }
  for (const { metadata } of [...deployments, ...rules].filter(isOwned)) {
    lines.push(`${metadata?.name} belongs to another tool, which deletes it: it stays.`);
  }
  return lines;
}

function gone({ mesh, asked, sides, deployments, rules }: Canary): string {
  const left = [...deployments, ...rules].map(({ metadata }) => metadata?.name).join(', ');
  return `The canary of ${asked.service} in ${mesh.namespace} (${sides.canary.join(', ')}) gets no traffic and runs no pods: nothing to do${left ? `; ${left} stays` : ''}.`;
}
