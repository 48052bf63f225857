import type { BreakerChange } from '../../activities/kubernetes/config-map/breaker.ts';
import { type AbortChange, abortChangeKind } from '../../activities/argo-rollouts/abort-change.ts';
import { rolloutChangeKind } from '../../activities/argo-rollouts/plan-rollout.ts';
import type { RolloutChange } from '../../activities/argo-rollouts/rollout-change.ts';
import type { DeletionChange } from '../../activities/kubernetes/deployment/delete-deployment.ts';
import type { DeploymentChange } from '../../activities/kubernetes/deployment/deployment-change.ts';
import type { ReplicasChange } from '../../activities/kubernetes/deployment/replicas.ts';
import type { ReleaseChange } from '../../activities/helm/release-change.ts';
import type { Clusters } from '../../activities/kubernetes/api.ts';
import { secretName } from '../../activities/helm/releases.ts';
import { noteByHand } from '../../activities/kubernetes/deployment/annotations.ts';
import { revisionAnnotation } from '../../activities/kubernetes/deployment/revisions.ts';
import { restartedAnnotation } from '../../activities/kubernetes/templates.ts';
import type { Settings } from '../../config/schema.ts';
import type { Change, Plan } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';
import { databaseCommands } from './database-commands.ts';
import { featureCommands } from './feature-commands.ts';
import { inStages, templateKind } from './last-resort-order.ts';
import { byRunOnly, type CommandsOf, kubectlFor, onceItIsWell, quote } from './shell.ts';
import { statefulSetCommands } from './stateful-set-commands.ts';
import { trafficCommands, trafficIsElsewhere } from './traffic-commands.ts';
import { type OwnerChange, ownerChangeKinds } from '../../activities/owners/policy.ts';
import {
  abortCommands,
  holdCommands,
  promoteCommands,
  releaseCommands,
} from './last-resort-owners.ts';

/**
 * The plan as shell commands for the night when Temporal itself is down. Each change stands behind
 * a test of the object's UID and revision, so that running them twice, or after somebody else's
 * change, changes nothing.
 */
export async function lastResortCommands(
  plan: Plan,
  settings: Settings,
  clusters: Clusters,
): Promise<string[]> {
  // A comment must not end before its line does, whatever somebody has called an image.
  const comment = (text: string) => `# ${printable(text)}`;
  if (plan.changes.length === 0) return [comment(plan.summary)];
  const commandsOf = async (change: Change) =>
    (await commandsFor[change.kind]?.(change, plan, settings, clusters)) ?? byRunOnly(change);
  const stages = inStages(plan.changes).map(async (changes) => {
    const commands = await Promise.all(changes.map(commandsOf));
    return [...commands.flat(), ...changes.flatMap(waitCommands)];
  });
  return [
    comment(plan.summary),
    ...plan.needs.map(({ count, roles, rule, why }) =>
      comment(`Ask ${count} ${roles.join(' or ')} before you run this (${rule}): ${why}.`),
    ),
    ...(await Promise.all(stages)).flat(),
  ];
}

/** How each kind of change is made by hand. */
const commandsFor: Record<string, CommandsOf> = {
  [templateKind]: (change) => deploymentCommands(change as DeploymentChange),
  'deployment/replicas': async (change, plan, _settings, clusters) =>
    replicasCommands(change as ReplicasChange, await trafficIsElsewhere(change, plan, clusters)),
  'deployment/delete': async (change, plan, _settings, clusters) =>
    'canary' in change.before
      ? onceItIsWell(deletionCommands(change as DeletionChange))
      : deletionCommands(
          change as DeletionChange,
          await trafficIsElsewhere(change, plan, clusters),
        ),
  'configmap/open-breaker': (change) => breakerCommands(change as BreakerChange),
  'configmap/close-breaker': (change) => breakerCommands(change as BreakerChange),
  'deployment/restart': restartCommands,
  'statefulset/restart': restartCommands,
  ...trafficCommands,
  ...statefulSetCommands,
  'helm/release': (change) => helmCommands(change as ReleaseChange),
  'helm/migration': ({ after }) => [
    `# Hooks that change data run with it: ${printable(after.hooks)}`,
  ],
  ...databaseCommands,
  ...featureCommands,
  [ownerChangeKinds.hold]: (change) => holdCommands(change as OwnerChange),
  [ownerChangeKinds.release]: (change) => releaseCommands(change as OwnerChange),
  [rolloutChangeKind]: (change) => promoteCommands(change as RolloutChange),
  [abortChangeKind]: (change) => abortCommands(change as AbortChange),
};

/** @param isLeft commands that end these where the Deployment has traffic, for before it is scaled to zero */
function replicasCommands(
  { target, before, after }: ReplicasChange,
  isLeft: readonly string[],
): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const deployment = `deployment/${quote(name)}`;
  const has = before.autoscaled && before.replicas > 0 ? `[1-9]*` : String(before.replicas);
  const scale = [
    `case "$(${kubectl} get ${deployment} --ignore-not-found -o jsonpath='{.metadata.uid} {.spec.replicas}')" in`,
    `  '${uid} '${has}) ${kubectl} scale ${deployment} --replicas=${after.replicas} || exit 1;;`,
    `  '${uid} ${after.replicas}'${after.replicas === 0 ? "|''" : ''}) ;;`,
    `  *) echo 'Deployment ${name} is not as it was planned: nothing more is done.' >&2; exit 1;;`,
    'esac',
  ];
  if (after.replicas === 0) {
    const { soakSeconds = 0 } = after;
    return [...(soakSeconds > 0 ? [`sleep ${soakSeconds}`] : []), ...isLeft, ...scale];
  }
  return [...scale, `${kubectl} rollout status ${deployment} --timeout=10m || exit 1`];
}

/** @param isLeft commands that end these where the Deployment has traffic */
function deletionCommands({ target }: DeletionChange, isLeft: readonly string[] = []): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const seen = '{.metadata.uid} {.spec.replicas}';
  return [
    `if [ "$(${kubectl} get deployment ${quote(name)} --ignore-not-found -o jsonpath='${seen}')" = '${uid} 0' ]; then`,
    ...isLeft.map((line) => `  ${line}`),
    `  ${kubectl} delete deployment ${quote(name)} || exit 1`,
    'fi',
  ];
}

function breakerCommands({ kind, target, before, after }: BreakerChange): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const known = [...Object.values(before), ...Object.values(after)];
  if (known.some((value) => value?.startsWith('sha256:'))) {
    return byRunOnly({ id: 'breaker', kind, target, before, after });
  }
  const keys = Object.keys(after);
  const read = keys.map((key) => `{{with index .data ${JSON.stringify(key)}}}{{.}}{{end}}`);
  const template = `{{.metadata.uid}}{{if .data}} ${read.join(' ')}{{end}}`;
  const inState = (state: BreakerChange['before']) =>
    [uid, ...keys.map((key) => state[key] ?? '')].join(' ');
  const [seen, wanted] = [inState(before), inState(after)];
  const values = `$(${kubectl} get configmap ${quote(name)} -o ${quote(`go-template=${template}`)})`;
  const patch = { data: after };
  return [
    `if [ "${values}" = ${quote(seen)} ]; then`,
    `  ${kubectl} patch configmap ${quote(name)} --type=merge -p ${quote(JSON.stringify(patch))} || exit 1`,
    'fi',
    `[ "${values}" = ${quote(wanted)} ] || { echo 'ConfigMap ${name} has other values by now: nothing more is done.' >&2; exit 1; }`,
  ];
}

/** As `kubectl rollout restart`, but by the time at which this was printed: run twice, it restarts once. */
function restartCommands({ target }: Change): string[] {
  const kubectl = kubectlFor(target);
  const workload = `${target.kind}/${quote(target.name)}`;
  const annotations = { [restartedAnnotation]: new Date().toISOString() };
  const patch = JSON.stringify({ spec: { template: { metadata: { annotations } } } });
  return [
    `${kubectl} patch ${workload} --type=merge -p ${quote(patch)} || exit 1`,
    `${kubectl} rollout status ${workload} --timeout=10m || exit 1`,
  ];
}

function deploymentCommands({ target, before, after }: DeploymentChange): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const revision = revisionAnnotation.replaceAll('.', '\\.');
  const seen = `{.metadata.uid} {.metadata.annotations.${revision}}`;
  // A template that is gone back to is a new revision, whose number only its ReplicaSet tells.
  const planned = `{range .items[?(@.metadata.uid=="${after.replicaSet ?? ''}")]}{.metadata.ownerReferences[0].uid} {.metadata.annotations.${revision}}{end}`;
  const undo = `${kubectl} rollout undo deployment/${quote(name)} --to-revision=${after.revision}`;
  const note = `${kubectl} annotate deployment/${quote(name)} ${quote(noteByHand(before, after))} --overwrite`;
  return [
    `if [ "$(${kubectl} get deployment ${quote(name)} -o jsonpath='${seen}')" = '${uid} ${before.revision ?? ''}' ]; then`,
    // kubectl refuses to undo a paused Deployment, and resuming first would roll the bad version out.
    ...(before.paused
      ? [
          `  echo 'It is paused: set its image back by hand, then kubectl rollout resume.' >&2; exit 1`,
        ]
      : [`  ${undo} && ${note} || exit 1`]),
    `elif [ "$(${kubectl} get deployment ${quote(name)} -o jsonpath='${seen}')" = "$(${kubectl} get replicasets -o jsonpath='${planned}')" ]; then`,
    `  echo 'Deployment ${name} is at the planned template already: nothing is changed.' >&2`,
    'else',
    `  echo 'Deployment ${name} is no longer at revision ${before.revision ?? '(none)'}, and at another template than planned: nothing is changed.' >&2; exit 1`,
    'fi',
  ];
}

/** Once all that stand side by side are on their way; whatever comes after one that fails is not begun. */
function waitCommands({ kind, target }: Change): string[] {
  if (kind !== templateKind) return [];
  const deployment = `deployment/${quote(target.name)}`;
  return [`${kubectlFor(target)} rollout status ${deployment} --timeout=10m || exit 1`];
}

/**
 * The newest revision by number, and the Secret that keeps it: a release may be installed anew. One that helm
 * has gone back to is a new revision with the same objects.
 */
function helmCommands({ target, before, after }: ReleaseChange): string[] {
  const { context, namespace, name } = target;
  const kubectl = kubectlFor(target);
  const helm = `helm --kube-context ${quote(context)} -n ${quote(namespace)}`;
  const numbers = `{range .items[*]}{.metadata.labels.version}{"\\n"}{end}`;
  const newest = `${kubectl} get secrets -l owner=helm,name=${quote(name)} -o jsonpath='${numbers}' | sort -n | tail -n 1`;
  const uidOf = (revision: number) =>
    `${kubectl} get secret ${secretName(name, revision)} -o jsonpath='{.metadata.uid}'`;
  const seen = `$(${newest}) $(${uidOf(before.revision)}) $(${uidOf(after.revision)})`;
  const manifest = `${helm} get manifest ${quote(name)}`;
  const isDeployed = `${helm} status ${quote(name)} | grep -qx 'STATUS: deployed'`;
  return [
    `if [ "${seen}" = '${before.revision} ${before.record} ${after.record}' ]; then`,
    `  ${helm} rollback ${quote(name)} ${after.revision} --wait --history-max 0 || exit 1`,
    `elif [ "$(${uidOf(after.revision)})" = '${after.record}' ] && ${isDeployed} && [ "$(${manifest})" = "$(${manifest} --revision ${after.revision})" ]; then`,
    `  echo 'Release ${name} has the planned objects already: nothing is changed.' >&2`,
    'else',
    `  echo 'Release ${name} is no longer at revision ${before.revision}, and not as planned: nothing is changed. See helm history ${name}.' >&2; exit 1`,
    'fi',
    `${helm} status ${quote(name)}`,
  ];
}
