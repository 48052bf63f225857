import { targetName } from '../../contract/plan.ts';
import type { Reason } from './held.ts';

/** A run that needs an owner held, in words. */
export function reasonInWords({ workflowId, by, at, protects }: Reason): string {
  const names = protects.map(targetName);
  const shown = names.length > 3 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  return `since ${at} for ${shown.join(', ')} (run ${workflowId}, asked for by ${by})`;
}
