/** Words of the commands that are printed for a shell. */
import { dirname, resolve } from 'node:path';
import type { Clusters } from '../../activities/kubernetes/api.ts';
import { settingsFile } from '../../config/settings.ts';
import type { Settings } from '../../config/schema.ts';
import { type Change, type Plan, type Target, targetName } from '../../contract/plan.ts';

/** Makes the commands for one change of a plan; `clusters` for what a plan has by reference only. */
export type CommandsOf = (
  change: Change,
  plan: Plan,
  settings: Settings,
  clusters: Clusters,
) => string[] | Promise<string[]>;

/** Names are validated before; quoting keeps the commands right for contexts with odd characters. */
export function quote(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What others have written, as JSON on one line of plain characters, whatever is in it. */
export function quoteJson(value: unknown): string {
  const code = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return quote(JSON.stringify(value).replace(/[\u007f-\uffff]/g, code));
}

/** kubectl, where the target is. */
export function kubectlFor({ context, namespace }: Target): string {
  return `kubectl --context ${quote(context)} -n ${quote(namespace)}`;
}

/** A file of the settings, which is relative to them, from wherever the commands are run. */
export function quotedFile(file: string): string {
  return quote(resolve(dirname(settingsFile()), file));
}

/** For what no command does safely. */
export function byRunOnly({ id, kind, target }: Change): string[] {
  return [`echo ${quote(`Not done here: ${kind} of ${targetName(target)} (${id}).`)} >&2; exit 1`];
}

/** What has no way back is not run with the rest, since nothing is verified here. */
export function onceItIsWell(lines: string[]): string[] {
  return [
    '# Once the service is seen to be well, without the # before them:',
    ...lines.map((line) => `# ${line}`),
  ];
}
