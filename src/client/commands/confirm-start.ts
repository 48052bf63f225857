/** What is started with one word and hits all there is, is asked about on a terminal. */
import type { Procedure } from '../../contract/input.ts';
import { ask } from '../ask.ts';
import { CliError } from '../errors.ts';
import { validate } from './start.ts';

/**
 * Shows the plan and asks, where the input is for all there is and somebody is there to answer: a
 * script goes on as it is.
 * @throws {CliError} where the answer is no.
 */
export async function confirmStart(
  procedure: Procedure,
  input: Record<string, unknown>,
): Promise<void> {
  const words = wideIn(procedure, input);
  if (words === undefined || input.dryRun === true || !process.stdin.isTTY) return;
  validate(procedure, input);
  // With what plans are made of, which a start that asks nobody need not load.
  const { showPlan } = await import('./show-plan.ts');
  if (!(await showPlan(procedure, input))) return;
  if (await ask(`${words}?`)) return;
  throw new CliError('Nothing was started.', 1);
}

/** What the input would have done to all there is; undefined where it names what it is about. */
function wideIn(procedure: Procedure, input: Record<string, unknown>): string | undefined {
  if (procedure === 'services' && input.all === true) {
    const since = typeof input.since === 'string' ? ` and was released within ${input.since}` : '';
    return `Roll back every Deployment of the namespace that has an earlier revision${since}`;
  }
  if (procedure !== 'cache') return undefined;
  const name = typeof input.cache === 'string' ? `cache ${input.cache}` : 'the cache';
  if (input.flushAll === true)
    return `Empty all databases of the servers of ${name}, whoever they belong to`;
  if (input.flush === true) return `Empty the whole database of ${name}`;
  return undefined;
}
