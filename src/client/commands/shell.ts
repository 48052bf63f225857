/** Words of the commands that are printed for a shell. */
import { dirname, resolve } from 'node:path';
import { settingsFile } from '../../config/settings.ts';
import type { Target } from '../../contract/plan.ts';

/** Names are validated before; quoting keeps the commands right for contexts with odd characters. */
export function quote(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** kubectl, where the target is. */
export function kubectlFor({ context, namespace }: Target): string {
  return `kubectl --context ${quote(context)} -n ${quote(namespace)}`;
}

/** A file of the settings, which is relative to them, from wherever the commands are run. */
export function quotedFile(file: string): string {
  return quote(resolve(dirname(settingsFile()), file));
}
