import type { Target } from '../../contract/plan.ts';

/** kubectl for the cluster and namespace of a target. */
export function kubectlFor({ context, namespace }: Target): string {
  return `kubectl --context ${quote(context)} -n ${quote(namespace)}`;
}

/** Names are validated before; quoting keeps the commands right for contexts with odd characters. */
export function quote(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
