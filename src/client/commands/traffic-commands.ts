/** How traffic is switched, shifted and redirected by hand, by the kind of the change. */
import { stale } from '../../activities/failures.ts';
import type { Clusters, JsonPatchOperation } from '../../activities/kubernetes/api.ts';
import { fieldsOf, type RoutesChange } from '../../activities/kubernetes/canary/canary-change.ts';
import { fieldPatch } from '../../activities/kubernetes/fields.ts';
import type { ExtraChange } from '../../activities/kubernetes/ingress/extra-ingress.ts';
import {
  backendOf,
  type BackendsChange,
  type Ingress,
  type Maintenance,
  partOf,
  redirectedAnnotation,
  redirectedOf,
} from '../../activities/kubernetes/ingress/ingress.ts';
import { annotationPointer, inWords, readTarget } from '../../activities/kubernetes/objects.ts';
import { readDeployments } from '../../activities/kubernetes/service/carriers.ts';
import {
  labelsOf,
  type SelectorChange,
  type SelectorReference,
  selectorText,
  type Service,
} from '../../activities/kubernetes/service/service.ts';
import { resumeByHand } from '../../activities/kubernetes/service/stopped.ts';
import { noteByHand } from '../../activities/kubernetes/service/switched.ts';
import { hashOf } from '../../contract/digest.ts';
import type { Change, Plan, Target } from '../../contract/plan.ts';
import { type CommandsOf, kubectlFor, onceItIsWell, quote, quoteJson } from './shell.ts';

export const trafficCommands: Record<string, CommandsOf> = {
  'service/selector': (change, _plan, _settings, clusters) =>
    switchCommands(change as SelectorChange, clusters),
  'service/resume': (change, plan, _settings, clusters) =>
    resumeCommands(change as SelectorChange, plan, clusters),
  'virtualservice/routes': (change) => routesCommands(change as RoutesChange),
  'httproute/routes': (change) => routesCommands(change as RoutesChange),
  'destinationrule/delete': (change) => onceItIsWell(ruleCommands(change)),
  'ingress/backends': (change, _plan, _settings, clusters) =>
    backendsCommands(change as BackendsChange, clusters),
  'ingress/extra': (change) => extraCommands(change as ExtraChange),
};

/**
 * Notes the switch as a run does: planning anew would go back to the colour that is left otherwise.
 * @throws PlanStale where the Service is gone.
 */
async function switchCommands(change: SelectorChange, clusters: Clusters): Promise<string[]> {
  const { context, namespace } = change.target;
  const cluster = clusters.of(context);
  const [service, deployments] = await Promise.all([
    readTarget<Service>(cluster, change.target),
    readDeployments(cluster, namespace),
  ]);
  return selectorCommands(change, noteByHand(service, deployments, change));
}

/** @throws PlanStale where the Service is gone. */
async function resumeCommands(
  change: SelectorChange,
  plan: Plan,
  clusters: Clusters,
): Promise<string[]> {
  const service = await readTarget<Service>(clusters.of(change.target.context), change.target);
  return selectorCommands(change, resumeByHand(service, change, plan));
}

/** Shell condition: whether the Service is the planned one, and has this selector. */
function selects({ target }: Pick<Change, 'target'>, selector: string): string {
  const template = `{{.metadata.uid}}{{range $key, $value := .spec.selector}} {{$key}}={{$value}}{{end}}`;
  return `[ "$(${kubectlFor(target)} get service ${quote(target.name)} -o 'go-template=${template}')" = '${target.uid} ${selector.replaceAll(',', ' ')}' ]`;
}

/**
 * Before the pods of a colour are taken away: ends the commands unless its traffic goes where the plan has it
 * go, since somebody may have switched it back meanwhile.
 * @throws PlanStale where the Service is gone.
 */
export async function trafficIsElsewhere(
  { target }: Change,
  { procedure, targets, changes }: Plan,
  clusters: Clusters,
): Promise<string[]> {
  const service = targets.find(({ kind }) => kind === 'service');
  if (procedure !== 'blue-green' || !service) return [];
  const planned = changes.find(({ kind }) => kind === 'service/selector');
  // A plan that only takes away what an earlier one has left switches nothing.
  const { selector } =
    (planned as SelectorChange | undefined)?.after ?? (await standing(service, clusters));
  const why = `Service ${service.name} does not send its traffic to ${selector} any more: Deployment ${target.name} stays as it is.`;
  return [`${selects({ target: service }, selector)} || { echo ${quote(why)} >&2; exit 1; }`];
}

async function standing(target: Target, clusters: Clusters): Promise<SelectorReference> {
  const { spec } = await readTarget<Service>(clusters.of(target.context), target);
  return { selector: selectorText(spec?.selector) };
}

function selectorCommands(
  change: SelectorChange,
  note: readonly JsonPatchOperation[] = [],
): string[] {
  const { target, before, after } = change;
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const operations = [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/spec/selector', value: labelsOf(before.selector) },
    { op: 'replace', path: '/spec/selector', value: labelsOf(after.selector) },
    ...note,
  ];
  const ready = `-o 'go-template={{range .items}}{{range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}x{{end}}{{end}}{{end}}'`;
  return [
    `if ${selects(change, before.selector)}; then`,
    `  [ -n "$(${kubectl} get pods -l ${quote(after.selector)} ${ready})" ] || { echo 'No pod with ${after.selector} is ready: the traffic stays where it is.' >&2; exit 1; }`,
    `  ${kubectl} patch service ${quote(name)} --type=json -p ${quoteJson(operations)} || { echo 'Service ${name} was changed since the commands were made: ask for them again.' >&2; exit 1; }`,
    'fi',
    `${selects(change, after.selector)} || { echo 'Service ${name} selects something else by now: nothing is changed.' >&2; exit 1; }`,
    `${kubectl} get endpointslices -l kubernetes.io/service-name=${quote(name)}`,
  ];
}

/** Exactly the planned fields, behind a test of all that the plan knows; what is so already stays. */
function routesCommands({ target, before, after }: RoutesChange): string[] {
  const { kind, name, uid } = target;
  const kubectl = kubectlFor(target);
  const pointers = Object.keys(fieldsOf(before));
  const jsonpath = pointers.map(
    (pointer) =>
      `{.${pointer
        .slice(1)
        .replace(/\/(\d+)/g, '[$1]')
        .replaceAll('/', '.')}}`,
  );
  const read = `"$(${kubectl} get ${kind} ${quote(name)} -o ${quote(`jsonpath={.metadata.uid} ${jsonpath.join(' ')}`)})"`;
  const seen = (state: RoutesChange['before']) =>
    quote([uid, ...pointers.map((pointer) => state[pointer] ?? '')].join(' '));
  const operations = pointers
    .filter((pointer) => before[pointer] !== after[pointer])
    .flatMap((path) => fieldPatch(path, before[path] ?? null, after[path] ?? null));
  const patch = JSON.stringify([{ op: 'test', path: '/metadata/uid', value: uid }, ...operations]);
  return [
    `if [ ${read} = ${seen(before)} ]; then`,
    `  ${kubectl} patch ${kind} ${quote(name)} --type=json -p ${quote(patch)} || exit 1`,
    'fi',
    `[ ${read} = ${seen(after)} ] || { echo ${quote(`${kind} ${name} is neither as it was planned nor as it is to be: nothing more is done.`)} >&2; exit 1; }`,
  ];
}

function ruleCommands({ target }: Change): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  return [
    `if [ "$(${kubectl} get destinationrule ${quote(name)} --ignore-not-found -o jsonpath='{.metadata.uid}')" = '${uid}' ]; then`,
    `  ${kubectl} delete destinationrule ${quote(name)}`,
    'fi',
  ];
}

function backendsCommands(
  change: BackendsChange,
  clusters: Clusters,
): string[] | Promise<string[]> {
  const { service, port } = change.after;
  if (service === null || port === null) return returnCommands(change, clusters);
  return redirectCommands(change, { service, port });
}

function redirectCommands(
  { target, before, after }: BackendsChange,
  maintenance: Maintenance,
): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const backend = JSON.stringify(backendOf(maintenance));
  const template =
    `{"op":"test","path":"/metadata/uid","value":"${uid}"}` +
    `{{range $i, $rule := .spec.rules}}{{if eq (or .host "") "${after.host}"}}{{with .http}}{{range $j, $path := .paths}}` +
    `,{"op":"replace","path":"/spec/rules/{{$i}}/http/paths/{{$j}}/backend","value":${backend}}` +
    `{{end}}{{end}}{{end}}{{end}}`;
  // Of what stands there now, so that neither a second run nor an earlier night's file is in its place.
  const file = quote(`ingress-${name}.${before.backends.slice(0, 8)}.before.yaml`);
  return [
    `[ -e ${file} ] || ${kubectl} get ingress ${quote(name)} -o yaml > ${file} # for the way back, which is by hand then`,
    `operations="$(${kubectl} get ingress ${quote(name)} -o ${quote(`go-template=${template}`)})"`,
    `case "$operations" in *replace*) ;; *) echo 'Ingress ${name} has no path for ${after.host}: change its default backend by hand.' >&2; exit 1;; esac`,
    `${kubectl} patch ingress ${quote(name)} --type=json -p "[$operations]" || exit 1`,
  ];
}

/**
 * Puts back exactly what the Ingress has noted, which is read now since a plan has hashes only: behind a
 * test of every rule that is replaced and of the note, and not at all where it is there already.
 * @throws PlanStale where the Ingress is not as it was planned.
 */
async function returnCommands(
  { target, before, after }: BackendsChange,
  clusters: Clusters,
): Promise<string[]> {
  const { name, uid } = target;
  const { host } = after;
  const ingress = await readTarget<Ingress>(clusters.of(target.context), target);
  const { [host]: noted, ...others } = redirectedOf(ingress);
  const now = partOf(ingress, host);
  if (!noted || hashOf(noted.before) !== after.backends || hashOf(now) !== before.backends) {
    throw stale(`${inWords(target)} was changed while the commands were made: ask for them again.`);
  }
  const rules = (ingress.spec?.rules ?? []).flatMap((rule, index) =>
    rule.host === host ? [{ path: `/spec/rules/${index}`, rule }] : [],
  );
  const fields = [
    ...rules.map(({ path, rule }, index) => ({ path, now: rule, then: noted.before.rules[index] })),
    ...(now.defaultBackend
      ? [
          {
            path: '/spec/defaultBackend',
            now: now.defaultBackend,
            then: noted.before.defaultBackend,
          },
        ]
      : []),
  ];
  const note = annotationPointer(redirectedAnnotation);
  const isLast = Object.keys(others).length === 0;
  const isIt = { op: 'test', path: '/metadata/uid', value: uid };
  const isBack = [isIt, ...fields.map(({ path, then }) => ({ op: 'test', path, value: then }))];
  const operations = [
    isIt,
    { op: 'test', path: note, value: ingress.metadata?.annotations?.[redirectedAnnotation] },
    ...fields.flatMap(({ path, now: value, then }) => [
      { op: 'test', path, value },
      { op: 'replace', path, value: then },
    ]),
    isLast
      ? { op: 'remove', path: note }
      : { op: 'replace', path: note, value: JSON.stringify(others) },
  ];
  const patch = `${kubectlFor(target)} patch ingress ${quote(name)} --type=json -p`;
  return [
    `if ! ${patch} ${quoteJson(isBack)} >/dev/null 2>&1; then`,
    `  ${patch} ${quoteJson(operations)} || { echo 'Ingress ${name} is not as it was planned: nothing more is done.' >&2; exit 1; }`,
    'fi',
  ];
}

function extraCommands(change: ExtraChange): string[] {
  const { target, before, after } = change;
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const ingress = `ingress ${quote(name)} --ignore-not-found -o jsonpath='{.metadata.uid}'`;
  if (before.exists) {
    return [
      `[ "$(${kubectl} get ${ingress})" != '${uid}' ] || ${kubectl} delete ingress ${quote(name)} || exit 1`,
    ];
  }
  const { host, service, port, ingressClass } = after;
  const rule = quote(`${host}/*=${service}:${port}`);
  const ofClass = ingressClass === null ? '' : ` --class=${quote(ingressClass)}`;
  return [
    `[ -n "$(${kubectl} get ${ingress})" ] || ${kubectl} create ingress ${quote(name)} --rule=${rule}${ofClass} || exit 1`,
  ];
}
