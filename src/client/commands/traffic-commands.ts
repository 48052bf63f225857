/** How traffic is switched, shifted and redirected by hand, by the kind of the change. */
import { fieldsOf, type RoutesChange } from '../../activities/kubernetes/canary/canary-change.ts';
import { fieldPatch } from '../../activities/kubernetes/fields.ts';
import type { ExtraChange } from '../../activities/kubernetes/ingress/extra-ingress.ts';
import { backendOf, type BackendsChange } from '../../activities/kubernetes/ingress/ingress.ts';
import { labelsOf, type SelectorChange } from '../../activities/kubernetes/service/service.ts';
import type { Change } from '../../contract/plan.ts';
import { byRunOnly, type CommandsOf, kubectlFor, onceItIsWell, quote } from './shell.ts';

export const trafficCommands: Record<string, CommandsOf> = {
  'service/selector': (change) => selectorCommands(change as SelectorChange),
  'service/resume': (change) => selectorCommands(change as SelectorChange),
  'virtualservice/routes': (change) => routesCommands(change as RoutesChange),
  'httproute/routes': (change) => routesCommands(change as RoutesChange),
  'destinationrule/delete': (change) => onceItIsWell(ruleCommands(change)),
  'ingress/backends': (change) => backendsCommands(change as BackendsChange),
  'ingress/extra': (change) => extraCommands(change as ExtraChange),
};

function selectorCommands({ target, before, after }: SelectorChange): string[] {
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const template = `{{.metadata.uid}}{{range $key, $value := .spec.selector}} {{$key}}={{$value}}{{end}}`;
  const seen = (selector: string) => `'${uid} ${selector.replaceAll(',', ' ')}'`;
  const operations = [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/spec/selector', value: labelsOf(before.selector) },
    { op: 'replace', path: '/spec/selector', value: labelsOf(after.selector) },
  ];
  const ready = `-o 'go-template={{range .items}}{{range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}x{{end}}{{end}}{{end}}'`;
  return [
    `if [ "$(${kubectl} get service ${quote(name)} -o 'go-template=${template}')" = ${seen(before.selector)} ]; then`,
    `  [ -n "$(${kubectl} get pods -l ${quote(after.selector)} ${ready})" ] || { echo 'No pod with ${after.selector} is ready: the traffic stays where it is.' >&2; exit 1; }`,
    `  ${kubectl} patch service ${quote(name)} --type=json -p ${quote(JSON.stringify(operations))} || exit 1`,
    'fi',
    `[ "$(${kubectl} get service ${quote(name)} -o 'go-template=${template}')" = ${seen(after.selector)} ] || { echo 'Service ${name} selects something else by now: nothing is changed.' >&2; exit 1; }`,
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

/** There only: the plan does not have what was there before, and the way back needs it. */
function backendsCommands(change: BackendsChange): string[] {
  const { target, before, after } = change;
  if (after.service === null || after.port === null) return byRunOnly(change);
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const backend = JSON.stringify(backendOf({ service: after.service, port: after.port }));
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

function extraCommands(change: ExtraChange): string[] {
  const { target, before, after } = change;
  const { name, uid } = target;
  const kubectl = kubectlFor(target);
  const ingress = `ingress ${quote(name)} --ignore-not-found -o jsonpath='{.metadata.uid}'`;
  if (before.exists) {
    return [
      `[ "$(${kubectl} get ${ingress})" != '${uid}' ] || ${kubectl} delete ingress ${quote(name)}`,
    ];
  }
  const { host, service, port, ingressClass } = after;
  const rule = quote(`${host}/*=${service}:${port}`);
  const ofClass = ingressClass === null ? '' : ` --class=${quote(ingressClass)}`;
  return [
    `[ -n "$(${kubectl} get ${ingress})" ] || ${kubectl} create ingress ${quote(name)} --rule=${rule}${ofClass}`,
  ];
}
