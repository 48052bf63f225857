import type { DeploymentChange } from '../../activities/kubernetes/deployment/deployment-change.ts';
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

/** Names are validated before; quoting keeps the commands right for contexts with odd characters. */
function quote(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
