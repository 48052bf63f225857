/** Changes of feature flags as curl commands: with jq, and secrets only as the names of variables. */
import {
  type DisablingChange,
  type FlagState,
  inMeasure,
  off,
  percentagesOf,
  type ReductionChange,
} from '../../activities/features/flag-change.ts';
import { sharesOf } from '../../activities/features/system.ts';
import type { RateExpression } from '../../activities/features/error-rate.ts';
import { addressOf, bodyOf } from '../../activities/features/template.ts';
import type { Changing, FeatureErrorRate, FeatureSystem, Reading } from '../../config/features.ts';
import type { Settings } from '../../config/schema.ts';
import { type Headers, secretNames } from '../../config/secret.ts';
import { durationMs } from '../../contract/duration.ts';
import type { Target } from '../../contract/plan.ts';
import { quote, quotedFile } from './shell.ts';

/** Off, where the flag is as it was planned; off already is well. */
export function disablingCommands(change: DisablingChange, settings: Settings): string[] {
  const { target, before } = change;
  const system = systemOf(settings, target);
  const request = requestOf(system, target, 'off', off);
  if (request === undefined) return byRunOnly(target, 'off');
  return [
    `state="$(${read(system, target)})"`,
    'case "$state" in',
    `  ${quote(stateOf(system, before))}) ${request} || exit 1;;`,
    `  'false '*) ;;`,
    `  *) echo "Feature ${target.name} was changed since, or cannot be read ($state): nothing more is done." >&2; exit 1;;`,
    'esac',
  ];
}

/** Once the cache is cleared as well. */
export function readBackCommands(target: Target, settings: Settings): string[] {
  const system = systemOf(settings, target);
  return [
    `case "$(${read(system, target, true)})" in 'false '*) ;; *) echo 'Feature ${target.name} is still read as on: find out which cache still has it.' >&2; exit 1;; esac`,
  ];
}

/** One share after the other; what is lower already stays, so that a second time raises nothing. */
export function reductionCommands(
  change: ReductionChange,
  settings: Settings,
  clearing: readonly string[],
): string[] {
  const { target, before, after } = change;
  const system = systemOf(settings, target);
  const shares = percentagesOf(change);
  const known = [before, ...shares.map((percentage) => ({ enabled: true, percentage }))];
  const patterns = known.map((state) => quote(stateOf(system, state))).join('|');
  const rate = system.errorRate && rateCommand(system.errorRate, target.name, after);
  return shares.flatMap((percentage, index) => {
    const wanted = { enabled: true, percentage };
    const request = requestOf(system, target, 'percentage', wanted);
    if (request === undefined) return index > 0 ? [] : byRunOnly(target, `${percentage} %`);
    const isLower = `awk -v now="\${state#* }" 'BEGIN { exit !(now + 0 <= ${inMeasure(system.whole, percentage)}) }'`;
    const lines = [
      `state="$(${read(system, target)})"`,
      `case "$state" in ${patterns}) ;; *) echo "Feature ${target.name} was changed since, or cannot be read ($state): nothing more is done." >&2; exit 1;; esac`,
      `${isLower} || ${request} || exit 1`,
      ...clearing,
    ];
    if (index === shares.length - 1) return lines;
    lines.push(`sleep ${Math.ceil(durationMs(after.watch) / 1000)}`);
    if (rate === undefined) return lines;
    return [
      ...lines,
      `if awk -v rate="$(${rate})" 'BEGIN { exit !(rate ~ /^[0-9]/ && rate + 0 <= ${after.gate}) }'; then`,
      `  echo 'The error rate is at or below ${after.gate}: feature ${target.name} is still on at ${percentage} %.'; exit 0`,
      'fi',
    ];
  });
}

function systemOf({ features }: Settings, { namespace }: Target): FeatureSystem {
  return features[namespace] as FeatureSystem;
}

/** Prints `true 50`: whether it is on, and its share in the system's own measure. */
function read(system: FeatureSystem, { name }: Target, isPublic = false): string {
  const { source, public: readers, headers } = system;
  const [reading, all] =
    (isPublic && readers) || !source
      ? [readers as Reading, [(readers as Reading).headers]]
      : [source, [headers, source.headers]];
  const program = `[${jqPath(reading.enabled)}, ${jqShare(reading, system.whole)}] | map(tostring) | join(" ")`;
  return `curl -fsS${headerFlags(all)} ${withoutSecrets(addressOf(reading.url, { name }))} | jq -r ${quote(program)}`;
}

/** The share, or null where none tells who has the flag. */
function jqShare({ percentage, require }: Reading, whole: number): string {
  if (percentage === undefined) return String(whole);
  const conditions = Object.entries(require).map(([path, wanted]) => {
    const list = /^(.+)\.length$/.exec(path)?.[1];
    const found = list === undefined ? jqPath(path) : `(${jqPath(list)} | length)`;
    return `${found} == ${JSON.stringify(wanted)}`;
  });
  if (conditions.length === 0) return jqPath(percentage);
  return `(if ${conditions.join(' and ')} then ${jqPath(percentage)} else null end)`;
}

/** The request as a command; undefined where it needs what was read of the flag. */
function requestOf(
  system: FeatureSystem,
  { name }: Target,
  by: 'off' | 'percentage',
  to: FlagState,
): string | undefined {
  const request: Changing | undefined = system[by];
  if (!request || JSON.stringify(request).includes('{answer.')) return undefined;
  const values = { name, ...sharesOf(system.whole, to) };
  const body = bodyOf(request, values);
  const headers = headerFlags([
    ...(body === undefined ? [] : [{ 'content-type': 'application/json' }]),
    system.headers,
    request.headers,
  ]);
  const data = body === undefined ? '' : ` -d ${withoutSecrets(JSON.stringify(body))}`;
  return `curl -fsS -o /dev/null -X ${request.method}${headers}${data} ${withoutSecrets(addressOf(request.url, values))}`;
}

function rateCommand(
  errorRate: FeatureErrorRate,
  name: string,
  { errorRateField, errorRateQuery }: RateExpression,
): string {
  const headers = headerFlags([errorRate.headers]);
  if ('url' in errorRate) {
    return `curl -fsS${headers} ${withoutSecrets(errorRate.url)} | jq -r ${quote(jqPath(errorRateField ?? errorRate.field))}`;
  }
  const query = quote(`query=${(errorRateQuery ?? errorRate.query).replaceAll('{name}', name)}`);
  const url = withoutSecrets(`${errorRate.prometheus.replace(/\/$/, '')}/api/v1/query`);
  return `curl -fsS -G${headers} --data-urlencode ${query} ${url} | jq -r '.data.result[0].value[1]'`;
}

/** Later ones win, as in a run. */
function headerFlags(all: readonly Headers[]): string {
  const headers = new Map<string, string>();
  for (const [name, content] of all.flatMap((some) => Object.entries(some))) {
    const shown =
      typeof content === 'string'
        ? quote(`${name}: ${content}`)
        : `"${inDoubleQuotes(`${name}: ${content.prefix}`)}${'env' in content ? `$${content.env}` : `$(cat ${quotedFile(content.file)})`}"`;
    headers.set(name.toLowerCase(), shown);
  }
  return [...headers.values()].map((shown) => ` -H ${shown}`).join('');
}

/** A text for the shell, in which what the settings took from a secret variable is named again. */
function withoutSecrets(text: string): string {
  const plain = inDoubleQuotes(text);
  const named = Object.entries(process.env).reduce((left, [name, value = '']) => {
    const isSecret = secretNames.test(name) && value.length >= shortestSecret;
    return isSecret ? left.replaceAll(inDoubleQuotes(value), `\${${name}}`) : left;
  }, plain);
  return named === plain ? quote(text) : `"${named}"`;
}

/** What is shorter may stand for something else. */
const shortestSecret = 8;

function inDoubleQuotes(text: string): string {
  return text.replace(/[\\"$`]/g, '\\$&');
}

/** A path with dots as jq has it, for whatever is in its keys. */
function jqPath(path: string): string {
  const keys = path.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  return `getpath(${JSON.stringify(keys)})`;
}

function stateOf(system: FeatureSystem, { enabled, percentage }: FlagState): string {
  return `${enabled} ${percentage === null ? 'null' : inMeasure(system.whole, percentage)}`;
}

function byRunOnly({ name, namespace }: Target, to: string): string[] {
  const text = `Not done here: feature ${name} to ${to}, since ${namespace} needs its own ids for it. Change it in its own pages.`;
  return [`echo ${quote(text)} >&2; exit 1`];
}
