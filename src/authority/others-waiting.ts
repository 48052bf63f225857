import type { Client } from '@temporalio/client';
import { type Target, targetName } from '../contract/plan.ts';
import { shellWord } from '../contract/printable.ts';
import { searchAttributes } from '../contract/search-attributes.ts';

/** More are not worth naming. */
const named = 3;
const answerWithinMs = 1000;

/**
 * Warns of other runs that wait for approval of a change of the same targets, so that two people who
 * start the same at once do not ask everybody twice. Temporal lists a run a moment after it has begun,
 * and what cannot be listed is no reason not to plan.
 */
export async function othersWaiting(
  client: Client,
  targets: readonly Target[],
  workflowId: string,
): Promise<string[]> {
  const query = [
    `ExecutionStatus = 'Running' AND ${searchAttributes.phase.name} = 'awaiting-approval'`,
    `${searchAttributes.targets.name} IN (${targets.map((target) => quoted(targetName(target))).join(', ')})`,
  ].join(' AND ');
  const found: string[] = [];
  try {
    await client.withDeadline(Date.now() + answerWithinMs, async () => {
      for await (const run of client.workflow.list({ query, pageSize: named + 1 })) {
        if (run.workflowId !== workflowId) found.push(shellWord(run.workflowId));
        if (found.length === named) break;
      }
    });
  } catch {
    return [];
  }
  return found.map(
    (id) =>
      `Run ${id} waits for approval of a change of the same: look at it with rollback status ${id}, and reject one of them.`,
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
