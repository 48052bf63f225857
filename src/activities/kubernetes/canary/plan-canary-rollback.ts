import type { LoadedSettings } from '../../../config/settings.ts';
import { findService } from '../../../config/services.ts';
import { digestPlan, hashOf } from '../../../contract/digest.ts';
import type { InputOf } from '../../../contract/input.ts';
import type { Change, Plan } from '../../../contract/plan.ts';
import { refused } from '../../failures.ts';
import { abortChange } from '../../argo-rollouts/plan-abort.ts';
import { type DestinationRule, isOfCanaryAlone, subsetsOf } from '../../istio/destination-rule.ts';
import { OwnerLookup } from '../../owners/lookup.ts';
import { plannedChecks } from '../../verification/planned-checks.ts';
import type { Clusters } from '../api.ts';
import { readAutoscalers, replicasOf } from '../deployment/replicas.ts';
import type { Deployment } from '../deployment/revisions.ts';
import { fieldsAt } from '../fields.ts';
import { kindAndName, targetOf } from '../objects.ts';
import { readDeployments } from '../service/carriers.ts';
import { templateDigest } from '../templates.ts';
import {
  concernedOf,
  type CanaryDeletionChange,
  type CanaryReplicasChange,
  type RoutesChange,
  type RuleDeletionChange,
} from './canary-change.ts';
import { findCanaryOwners } from './canary-owners.ts';
import {
  type Asked,
  canaryName,
  findCanary,
  matches,
  podLabels,
  turnRoutes,
  withoutCanary,
} from './find-canary.ts';
import { type Mesh, readMesh, selectorOf } from './mesh.ts';
import { type Canary, differencesOf, gone, statements, summaryOf } from './plan-words.ts';
import { whyCanaryMustStay } from './scale-canary.ts';
import { isOfCanary, readReadiness, type Sides } from './sides.ts';

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
  const [serviceName, settled] = ['service', 'deployment']
    .map((kind) =>
      findService(settings, { kind: kind as 'service' | 'deployment', namespace, name: service }),
    )
    .find(([, found]) => found) ?? ['', undefined];
  const asked: Asked = {
    service,
    canary: input.canary ?? settled?.canary,
    stable: input.stable ?? settled?.stable,
  };
  const [mesh, deployments, autoscalers] = await Promise.all([
    readMesh(cluster, namespace),
    readDeployments(cluster, namespace),
    readAutoscalers(cluster, namespace),
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
  const canary = await readCanary({ mesh, asked, sides, turned, autoscalers }, deployments);
  const owners = await findCanaryOwners(new OwnerLookup(clusters, cluster, settings), namespace, {
    ...canary,
    routers: turned.map(({ router }) => router),
  });
  const changes: Change[] = owners.rollout
    ? [abortChange(mesh, sides, owners.rollout)]
    : changesOf(canary, input.keep, owners.isOwned);
  if (changes.length === 0) return nothingToDo(gone(canary));
  const warning = await assertReady(canary, changes);
  const all = [...changes, ...owners.changes];
  return digestPlan({
    procedure: 'canary',
    targets: [...new Map(all.map(({ target }) => [target.uid, target])).values()],
    changes: all,
    summary: summaryOf(canary, changes),
    differences: differencesOf(canary, changes),
    warnings: [
      ...warning,
      ...owners.warnings,
      ...(owners.rollout ? [] : statements(canary, changes, owners.isOwned)),
    ],
    checks: plannedChecks(serviceName, settled),
    estimateSeconds: 5,
  });
}

/** Reads which Deployments and rules belong to a canary whose destinations are known. */
async function readCanary(
  known: Pick<Canary, 'mesh' | 'asked' | 'sides' | 'turned' | 'autoscalers'>,
  all: readonly Deployment[],
): Promise<Canary> {
  const { mesh, sides, asked } = known;
  const canary: Canary = { ...known, deployments: [], needed: [], rules: [] };
  for (const deployment of all.filter((one) => isCanarys(mesh, sides, asked, one))) {
    const why = await whyCanaryMustStay(mesh.cluster, deployment, sides.canary);
    if (why === undefined) canary.deployments.push(deployment);
    else canary.needed.push(`${kindAndName('deployment', deployment)} keeps its pods: ${why}.`);
  }
  canary.rules = mesh.rules.filter((rule) => names(rule, sides.canary));
  return canary;
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
  const isNamed = deployment.metadata?.name === canaryName(asked);
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
  { mesh: { cluster }, sides, turned, deployments, rules, autoscalers }: Canary,
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
    .map((deployment): CanaryReplicasChange => {
      const target = targetOf('deployment', cluster, deployment);
      const autoscaled = autoscalers.has(target.name);
      return {
        ...{ id: `replicas/${target.name}`, kind: 'deployment/replicas', target },
        before: { ...concerned, replicas: replicasOf(deployment), autoscaled },
        after: { ...concerned, replicas: 0, autoscaled },
      };
    });
  if (keep) return [...routes, ...scaled];
  const ruleDeletions = rules
    .filter((rule) => isOfCanaryAlone(rule, sides.canary) && !isOwned(rule))
    .map((rule): RuleDeletionChange => {
      const target = targetOf('destinationrule', cluster, rule);
      return {
        ...{ id: `delete/destinationrule/${target.name}`, kind: 'destinationrule/delete', target },
        before: { ...concerned, rule: hashOf(rule.spec) },
        after: { ...concerned, rule: null },
      };
    });
  const deletions = deployments
    .filter((deployment) => !isOwned(deployment))
    .map((deployment): CanaryDeletionChange => {
      const target = targetOf('deployment', cluster, deployment);
      return {
        ...{ id: `delete/deployment/${target.name}`, kind: 'deployment/delete', target },
        before: { ...concerned, template: templateDigest(deployment.spec?.template) },
        after: { ...concerned, template: null },
      };
    });
  return [...routes, ...scaled, ...ruleDeletions, ...deletions];
}

/**
 * Requests go only where a pod is ready for them.
 * @returns what people should know
 * @throws Refused where only the canary has ready pods.
 */
async function assertReady({ mesh, sides }: Canary, changes: Change[]): Promise<string[]> {
  const takesAway = changes.some(({ kind }) => !kind.endsWith('/delete'));
  if (!takesAway || sides.stable.length === 0) return [];
  const { canary, stable, text } = await readReadiness(mesh, sides);
  if (stable > 0) return [];
  if (canary === 0) {
    return [`Neither side has ready pods (${text}): this takes the canary out, and mends nothing.`];
  }
  throw refused(
    `${sides.stable.join(' and ')} in ${mesh.namespace} cannot take over: only the canary has ready pods (${text}). Bring the stable side up first: kubectl get deployments,pods -n ${mesh.namespace} shows what it lacks.`,
  );
}
