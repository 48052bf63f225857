import { WorkflowNotFoundError } from '@temporalio/client';
import { outcomes, type RunStatus } from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { CliError } from '../errors.ts';
import { follow } from '../follow.ts';
import { age, printJson, printLine, table } from '../output.ts';
import { lookAt, noSuchRun, resultOf } from '../run-status.ts';
import { withTemporal } from '../temporal.ts';
import { endLines, runLines } from '../view.ts';

export interface ListOptions {
  open?: boolean;
  limit: number;
  json?: boolean;
}

/** Lists runs, newest first. */
export async function list(options: ListOptions): Promise<number> {
  return withTemporal(async (temporal) => {
    const { procedure, phase, outcome, targets, requestedBy } = searchAttributes;
    const query = `${procedure.name} IS NOT NULL${options.open ? " AND ExecutionStatus = 'Running'" : ''}`;
    const runs = [];
    for await (const run of temporal.client.workflow.list({ query, pageSize: options.limit })) {
      runs.push({
        workflowId: run.workflowId,
        procedure: run.typedSearchAttributes.get(procedure),
        targets: run.typedSearchAttributes.get(targets) ?? [],
        phase: run.typedSearchAttributes.get(phase),
        // A run that was ended from outside never said how it ended.
        outcome:
          run.typedSearchAttributes.get(outcome) ??
          (run.closeTime ? run.status.name.toLowerCase() : undefined),
        requestedBy: run.typedSearchAttributes.get(requestedBy),
        startedAt: run.startTime.toISOString(),
      });
      if (runs.length === options.limit) break;
    }
    if (options.json) printJson(runs);
    else if (runs.length === 0) printLine('There are no runs.');
    else {
      const rows = runs.map((run) => [
        run.workflowId,
        run.targets.join(', '),
        run.outcome ?? run.phase ?? '',
        age(run.startedAt),
        run.requestedBy ?? '',
      ]);
      for (const line of table(['RUN', 'TARGETS', 'STATE', 'AGE', 'BY'], rows)) printLine(line);
    }
    return 0;
  });
}

/** Prints a run as it is now. */
export async function status(workflowId: string, options: { json?: boolean }): Promise<number> {
  return withTemporal(async (temporal) => {
    const handle = temporal.client.workflow.getHandle(workflowId);
    const { status: state } = await handle.describe().catch(notFound(workflowId));
    if (state.name === 'RUNNING') {
      const run = await lookAt(temporal, handle);
      if (!run.status) {
        throw new CliError(
          `Run ${workflowId} is open, but no worker answers for it: start one (npm run worker); it goes on by itself.`,
          outcomes.unreachable.exitCode,
        );
      }
      show(run.status, runLines(run.status, run.progress, run.retrying), options);
      return 0;
    }
    const result = await resultOf(handle);
    show(result, [...runLines(result), '', ...endLines(result)], options);
    return 0;
  });
}

/** Follows a run to its end; the exit code is that of its outcome. */
export async function watch(workflowId: string, options: { json?: boolean }): Promise<number> {
  return withTemporal(async (temporal) => {
    const handle = temporal.client.workflow.getHandle(workflowId);
    await handle.describe().catch(notFound(workflowId));
    const result = await follow(temporal, handle, options.json === true);
    return outcomes[result.outcome].exitCode;
  });
}

function show(run: RunStatus, lines: string[], { json }: { json?: boolean }): void {
  if (json) printJson(run);
  else for (const line of lines) printLine(line);
}

function notFound(workflowId: string) {
  return (error: unknown): never => {
    throw error instanceof WorkflowNotFoundError ? noSuchRun(workflowId) : error;
  };
}
