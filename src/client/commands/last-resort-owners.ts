/** Owners by hand: how each of their changes is made with kubectl, safe to run twice. */
import type { AbortChange } from '../../activities/argo-rollouts/abort-change.ts';
import type { RolloutChange } from '../../activities/argo-rollouts/rollout-change.ts';
import type { JsonPatchOperation } from '../../activities/kubernetes/api.ts';
import { annotationPointer, resourceOf } from '../../activities/kubernetes/objects.ts';
import { heldAnnotation, heldLabelPointer } from '../../activities/owners/held.ts';
import { policyOf } from '../../activities/owners/policies.ts';
import type { OwnerChange } from '../../activities/owners/policy.ts';
import { printable } from '../../contract/printable.ts';
import { kubectlFor, quote } from './shell.ts';

/** Holds an owner, and says how it is let go again. */
export function holdCommands(change: OwnerChange): string[] {
  const { target, before, after } = change;
  const [from, to] = [valueIn(change, before), valueIn(change, after)];
  if (from === to) return [];
  return [
    ...guarded(change, from, to, [setTo(change, to)]),
    printable(`# To let it act again later: ${patch(target, [setTo(change, from)])}`),
  ];
}

/** Lets an owner act again, and takes the note of the hold away. */
export function releaseCommands(change: OwnerChange): string[] {
  const { before, after } = change;
  const [from, to] = [valueIn(change, before), valueIn(change, after)];
  const note = [annotationPointer(heldAnnotation), heldLabelPointer].map(
    (path): JsonPatchOperation => ({ op: 'remove', path }),
  );
  return guarded(change, from, to, [...(from === to ? [] : [setTo(change, to)]), ...note]);
}

/** Promotes a Rollout in full once it has seen the template, as `kubectl argo rollouts promote --full`. */
export function promoteCommands({ target, before }: RolloutChange): string[] {
  const kubectl = kubectlFor(target);
  const rollout = `${resourceOf(target.kind)}/${quote(target.name)}`;
  if (before.paused) {
    return [
      `echo 'Rollout ${target.name} is paused: resume it, with kubectl argo rollouts promote ${target.name}.' >&2; exit 1`,
    ];
  }
  const workload = `$(${kubectl} get ${rollout} -o jsonpath='{.spec.workloadRef.name}')`;
  const generation = `$(${kubectl} get deployment "${workload}" -o jsonpath='{.metadata.generation}')`;
  const hashes = `${kubectl} get ${rollout} -o jsonpath`;
  return [
    `${kubectl} wait ${rollout} --for=jsonpath='{.status.workloadObservedGeneration}'="${generation}" --timeout=1m || exit 1`,
    `if [ "$(${hashes}='{.status.currentPodHash}')" != "$(${hashes}='{.status.stableRS}')" ]; then`,
    `  ${kubectl} patch ${rollout} --subresource=status --type=merge -p '{"status":{"promoteFull":true}}' || exit 1`,
    'fi',
    `${kubectl} wait ${rollout} --for=jsonpath='{.status.phase}'=Healthy --timeout=10m || exit 1`,
  ];
}

/** Aborts a Rollout's update, as `kubectl argo rollouts abort`, unless it is another one by now. */
export function abortCommands({ target, before }: AbortChange): string[] {
  const kubectl = kubectlFor(target);
  const rollout = `${resourceOf(target.kind)}/${quote(target.name)}`;
  const seen = '{.metadata.uid} {.status.currentPodHash}';
  return [
    `[ "$(${kubectl} get ${rollout} -o jsonpath='${seen}')" = ${quote(`${target.uid} ${before.podHash}`)} ] || { echo 'Rollout ${target.name} tries another version by now: nothing is changed.' >&2; exit 1; }`,
    `${kubectl} patch ${rollout} --subresource=status --type=merge -p '{"status":{"abort":true}}' || exit 1`,
  ];
}

/** What the field of an owner is in a state of the plan; undefined where it is not there. */
function valueIn({ target }: OwnerChange, state: OwnerChange['before']): string | undefined {
  const text = state[policyOf(target.kind)?.field ?? ''];
  return typeof text === 'string' ? text : undefined;
}

function setTo({ target }: OwnerChange, value: string | undefined): JsonPatchOperation {
  const path = `/${(policyOf(target.kind)?.path ?? []).join('/')}`;
  if (value === undefined) return { op: 'remove', path };
  return { op: 'add', path, value: JSON.parse(value) as unknown };
}

function patch(target: OwnerChange['target'], operations: JsonPatchOperation[]): string {
  const all = [{ op: 'test', path: '/metadata/uid', value: target.uid }, ...operations];
  const object = `${resourceOf(target.kind)} ${quote(target.name)}`;
  return `${kubectlFor(target)} patch ${object} --type=json -p ${quote(JSON.stringify(all))}`;
}

function guarded(
  { target }: OwnerChange,
  from: string | undefined,
  to: string | undefined,
  operations: JsonPatchOperation[],
): string[] {
  const { kind, name, uid } = target;
  const path = (policyOf(kind)?.path ?? []).join('.');
  const seen = `${kubectlFor(target)} get ${resourceOf(kind)} ${quote(name)} -o jsonpath='{.metadata.uid} {.${path}}'`;
  const done = from === to ? [] : [`  ${quote(`${uid} ${to ?? ''}`)}) ;;`];
  return [
    `case "$(${seen})" in`,
    `  ${quote(`${uid} ${from ?? ''}`)}) ${patch(target, operations)} || exit 1;;`,
    ...done,
    `  *) echo ${quote(`${kind} ${name} is not as it was planned: nothing is done.`)} >&2; exit 1;;`,
    'esac',
  ];
}
