/** The rollback of a StatefulSet as commands. */
import type { Clusters } from '../../activities/kubernetes/api.ts';
import { noteByHand } from '../../activities/kubernetes/deployment/annotations.ts';
import { readTarget } from '../../activities/kubernetes/objects.ts';
import {
  labelsOf,
  type SelectorChange,
  type Service,
} from '../../activities/kubernetes/service/service.ts';
import { stopByHand } from '../../activities/kubernetes/service/stopped.ts';
import { revisionLabel } from '../../activities/kubernetes/stateful-set/pods.ts';
import type {
  BackupChange,
  StateChange,
  TemplateChange,
} from '../../activities/kubernetes/stateful-set/stateful-set-change.ts';
import { hashOf } from '../../contract/digest.ts';
import type { Plan } from '../../contract/plan.ts';
import { type CommandsOf, kubectlFor, quote, quoteJson } from './shell.ts';

/** How each kind of change is made by hand. */
export const statefulSetCommands: Record<string, CommandsOf> = {
  'service/stop': (change, plan, _settings, clusters) =>
    stopCommands(change as SelectorChange, plan, clusters),
  'statefulset/backup': (change, plan) => backupCommands(change as BackupChange, plan),
  'statefulset/template': (change) => templateCommands(change as TemplateChange),
  'statefulset/state': (change) => stateCommands(change as StateChange),
};

/** Shell condition: whether what the plan changes is still to be done, so that a second run stops nothing. */
function isToDo({ changes }: Plan): string {
  const template = changes.find(({ kind }) => kind === 'statefulset/template');
  if (template) return standsAt(template as TemplateChange, 'before');
  const states = changes.filter(({ kind }) => kind === 'statefulset/state') as StateChange[];
  return states.map((state) => `! ${isRestored(state)}`).join(' || ');
}

/** Shell condition: whether the StatefulSet is the planned one, at one end of the change. */
function standsAt({ target, before, after }: TemplateChange, end: 'before' | 'after'): string {
  const seen = '{.metadata.uid} {.status.updateRevision}';
  const { name } = end === 'before' ? before : after;
  return `[ "$(${kubectlFor(target)} get statefulset ${quote(target.name)} -o jsonpath='${seen}')" = '${target.uid} ${name}' ]`;
}

/**
 * Notes the stop as a run does, so that whoever plans anew resumes the traffic where the commands went no further.
 * @throws PlanStale where the Service is gone.
 */
async function stopCommands(
  change: SelectorChange,
  plan: Plan,
  clusters: Clusters,
): Promise<string[]> {
  const { target, before, after } = change;
  const service = await readTarget<Service>(clusters.of(target.context), target);
  const operations = [
    { op: 'test', path: '/metadata/uid', value: target.uid },
    { op: 'test', path: '/spec/selector', value: labelsOf(before.selector) },
    { op: 'replace', path: '/spec/selector', value: labelsOf(after.selector) },
    ...stopByHand(service, change, plan),
  ];
  return [
    `if ${isToDo(plan)}; then`,
    `  ${kubectlFor(target)} patch service ${quote(target.name)} --type=json -p ${quoteJson(operations)} || [ "$(${kubectlFor(target)} get service ${quote(target.name)} -o 'go-template={{range $key, $value := .spec.selector}} {{$key}}={{$value}}{{end}}')" = ' ${after.selector.replaceAll(',', ' ')}' ] || exit 1`,
    'fi',
  ];
}

function backupCommands({ target, after }: BackupChange, plan: Plan): string[] {
  const { pod, container, folder, data } = after;
  const exec = `${kubectlFor(target)} exec ${quote(pod)} -c ${quote(container)} --`;
  const partial = quote(`${folder}/state-${pod}.partial`);
  return [
    `if ${isToDo(plan)}; then`,
    `  ${exec} mkdir -p ${quote(folder)} && ${exec} tar -czf ${partial} ${data.split(':').map(quote).join(' ')} && ${exec} tar -tzf ${partial} >/dev/null && ${exec} mv ${partial} ${quote(`${folder}/state-${pod}-`)}"$(date -u +%Y%m%d-%H%M%S)".tar.gz || exit 1`,
    'fi',
  ];
}

function templateCommands(change: TemplateChange): string[] {
  const { target, before, after } = change;
  const { name } = target;
  const kubectl = kubectlFor(target);
  const outdated = `${kubectl} get pods -l ${revisionLabel}=${quote(before.name ?? '')} -o 'go-template={{range .items}}{{$pod := .metadata.name}}{{range .status.conditions}}{{if eq .type "Ready"}}{{$pod}} {{.status}}{{"\\n"}}{{end}}{{end}}{{end}}'`;
  const seen = `${kubectl} get pod "$pod" --ignore-not-found -o 'jsonpath={.metadata.labels.${revisionLabel}} {.status.conditions[?(@.type=="Ready")].status}'`;
  const condition = after.onDelete ? '' : `[ "$ready" != True ] && `;
  return [
    `if ${standsAt(change, 'before')}; then`,
    `  ${kubectl} rollout undo statefulset/${quote(name)} --to-revision=${after.revision} && ${kubectl} annotate statefulset/${quote(name)} ${quote(noteByHand(before, after))} --overwrite || exit 1`,
    `elif ! ${standsAt(change, 'after')}; then`,
    `  echo 'StatefulSet ${name} is no longer at revision ${before.revision ?? '(none)'}: nothing is changed.' >&2; exit 1`,
    'fi',
    // The controller waits for pods that do not get ready, and with OnDelete it replaces none.
    `${outdated} | sort -rV | while read -r pod ready; do`,
    `  ${condition}[ "\${pod##*-}" -ge ${after.fromOrdinal} ] || continue`,
    // Not waited for by kubectl, which takes the next pod of that name for the same one at times.
    `  ${kubectl} delete pod "$pod" --wait=false || exit 1`,
    ...(after.onDelete
      ? [`  until [ "$(${seen})" = '${after.name} True' ]; do sleep 1; done`]
      : []),
    'done || exit 1',
    ...(after.onDelete
      ? []
      : [`${kubectl} rollout status statefulset/${quote(name)} --timeout=10m || exit 1`]),
  ];
}

/** A restored state is marked in the pod, so that what is written later is not overwritten again. */
function stateCommands(change: StateChange): string[] {
  const { target, after } = change;
  const { pod, container, folder, archive, sha256, bytes } = after;
  const exec = `${kubectlFor(target)} exec ${quote(pod)} -c ${quote(container)} --`;
  const file = quote(`${folder}/${archive}`);
  const isSame = sha256
    ? `[ "$(${exec} sha256sum ${file} | cut -c 1-64)" = ${sha256} ]`
    : `[ "$(${exec} stat -c %s ${file})" = ${bytes} ]`;
  return [
    `if ! ${isRestored(change)}; then`,
    `  ${isSame} || { echo ${quote(`${archive} in ${pod} is another one by now: its state is left alone.`)} >&2; exit 1; }`,
    `  ${exec} tar -xzf ${file} -C / && ${exec} touch ${markOf(change)} || exit 1`,
    'fi',
  ];
}

/** Shell condition: whether the state was restored by these commands before. */
function isRestored(change: StateChange): string {
  const { pod, container } = change.after;
  return `${kubectlFor(change.target)} exec ${quote(pod)} -c ${quote(container)} -- test -e ${markOf(change)}`;
}

function markOf(change: StateChange): string {
  return quote(`${change.after.folder}/restored-${hashOf(change).slice(0, 16)}`);
}
