import type { Target } from './plan.ts';
import { shellWord } from './printable.ts';

/** The command that releases an owner which a run holds. */
export function releaseCommand({ kind, namespace, name, context }: Target): string {
  const where = `-n ${shellWord(namespace)} --context ${shellWord(context)}`;
  return `rollback release ${kind}/${shellWord(name)} ${where}`;
}
