import type { DeploymentChange } from '../../activities/kubernetes/deployment/deployment-change.ts';
import type { ReleaseChange } from '../../activities/helm/release-change.ts';
import { secretName } from '../../activities/helm/releases.ts';
import { revisionAnnotation } from '../../activities/kubernetes/deployment/revisions.ts';
import { type Change, type Plan, targetName } from '../../contract/plan.ts';
import { printable } from '../../contract/printable.ts';

/**
 * The plan as shell commands for the night when Temporal itself is down. Each change stands behind
 * a test of the object's UID and revision, so that running them twice, or after somebody else's
 * change, changes nothing.
 */
export function lastResortCommands(plan: Plan): string[] {
  // A comment must not end before its line does, whatever somebody has called an image.
  const comment = (text: string) => `# ${printable(text)}`;
  if (plan.changes.length === 0) return [comment(plan.summary)];
  return [
    comment(plan.summary),
    ...plan.needs.map(({ count, roles, rule, why }) =>
      comment(`Ask ${count} ${roles.join(' or ')} before you run this (${rule}): ${why}.`),
    ),
    ...plan.changes.flatMap((change) => commandsFor[change.kind]?.(change) ?? byRunOnly(change)),
  ];
}

/** How each kind of change is made by hand. */
const commandsFor: Record<string, (change: Change) => string[]> = {
  'deployment/template': (change) => deploymentCommands(change as DeploymentChange),
  'helm/release': (change) => helmCommands(change as ReleaseChange),
  'helm/migration': ({ after }) => [
    `# Hooks that change data run with it: ${printable(after.hooks)}`,
  ],
};

/** For what no command does safely. */
function byRunOnly({ id, kind, target }: Change): string[] {
  return [`echo ${quote(`Not done here: ${kind} of ${targetName(target)} (${id}).`)} >&2; exit 1`];
}

function deploymentCommands({ target, before, after }: DeploymentChange): string[] {
  const { context, namespace, name, uid } = target;
  const kubectl = `kubectl --context ${quote(context)} -n ${quote(namespace)}`;
  const revision = revisionAnnotation.replaceAll('.', '\\.');
  const seen = `{.metadata.uid} {.metadata.annotations.${revision}}`;
  const undo = `${kubectl} rollout undo deployment/${quote(name)} --to-revision=${after.revision}`;
  const lines = [
    `if [ "$(${kubectl} get deployment ${quote(name)} -o jsonpath='${seen}')" = '${uid} ${before.revision ?? ''}' ]; then`,
    // kubectl refuses to undo a paused Deployment, and resuming first would roll the bad version out.
    ...(before.paused
      ? [
          `  echo 'It is paused: set its image back by hand, then kubectl rollout resume.' >&2; exit 1`,
        ]
      : [`  ${undo}`]),
    'else',
    `  echo 'Deployment ${name} is no longer at revision ${before.revision ?? '(none)'}: nothing is changed.' >&2`,
    'fi',
    `${kubectl} rollout status deployment/${quote(name)} --timeout=10m`,
  ];
  return lines;
}

/** The newest revision by number, and the Secret that keeps it: a release may be installed anew. */
function helmCommands({ target, before, after }: ReleaseChange): string[] {
  const { context, namespace, name } = target;
  const kubectl = `kubectl --context ${quote(context)} -n ${quote(namespace)}`;
  const helm = `helm --kube-context ${quote(context)} -n ${quote(namespace)}`;
  const numbers = `{range .items[*]}{.metadata.labels.version}{"\\n"}{end}`;
  const newest = `${kubectl} get secrets -l owner=helm,name=${quote(name)} -o jsonpath='${numbers}' | sort -n | tail -n 1`;
  const uidOf = (revision: number) =>
    `${kubectl} get secret ${secretName(name, revision)} -o jsonpath='{.metadata.uid}'`;
  const seen = `$(${newest}) $(${uidOf(before.revision)}) $(${uidOf(after.revision)})`;
  return [
    `if [ "${seen}" = '${before.revision} ${before.record} ${after.record}' ]; then`,
    `  ${helm} rollback ${quote(name)} ${after.revision} --wait --history-max 0`,
    'else',
    `  echo 'Release ${name} is no longer at revision ${before.revision}: nothing is changed.' >&2`,
    'fi',
    `${helm} status ${quote(name)}`,
  ];
}

/** Names are validated before; quoting keeps the commands right for contexts with odd characters. */
function quote(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
