import type { WorkflowExecutionInfo } from '@temporalio/client';
import { decodeJwt } from 'jose';
import { type Procedure, procedures, subjectOf } from '../../contract/input.ts';
import { outcomes, type PausedStep, type RunStatus, startMemo } from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { CliError, startWorker } from '../errors.ts';
import { follow } from '../follow.ts';
import { age, paint, printJson, printLine, table } from '../output.ts';
import { printable, shellWord } from '../../contract/printable.ts';
import { describeRun, lookAt, resultOf } from '../run-status.ts';
import { startedWith } from '../started-with.ts';
import { type Temporal, withTemporal } from '../temporal.ts';
import { endLines, pauseLines, runLines } from '../view.ts';

export interface ListOptions {
  open?: boolean;
  waiting?: boolean;
  limit: number;
  json?: boolean;
}

/** Lists runs, newest first. */
export async function list(options: ListOptions): Promise<number> {
  return withTemporal(async (temporal) => {
    const { procedure, phase, outcome, targets, requestedBy } = searchAttributes;
    const conditions = [
      `${procedure.name} IS NOT NULL`,
      ...(options.open || options.waiting ? ["ExecutionStatus = 'Running'"] : []),
      ...(options.waiting ? [`${phase.name} IN ('awaiting-approval', 'paused')`] : []),
    ];
    const query = conditions.join(' AND ');
    const runs: ListedRun[] = [];
    const unplanned: Promise<void>[] = [];
    for await (const run of temporal.client.workflow.list({ query, pageSize: options.limit })) {
      const found: ListedRun = {
        workflowId: run.workflowId,
        procedure: run.typedSearchAttributes.get(procedure),
        // The same name stands in each region.
        targets: [...new Set(run.typedSearchAttributes.get(targets))],
        phase: run.typedSearchAttributes.get(phase),
        // A run that was ended from outside never said how it ended.
        outcome:
          run.typedSearchAttributes.get(outcome) ??
          (run.closeTime ? run.status.name.toLowerCase() : undefined),
        requestedBy: run.typedSearchAttributes.get(requestedBy),
        startedAt: run.startTime.toISOString(),
      };
      runs.push(found);
      if (found.targets.length === 0) unplanned.push(addAsked(temporal, found, run));
      if (runs.length === options.limit) break;
    }
    await Promise.all(unplanned);
    if (options.waiting) await addMissing(temporal, runs);
    if (options.json) printJson(runs);
    else showRuns(printable(runs), options);
    return 0;
  });
}

function showRuns(runs: ListedRun[], { waiting, open }: ListOptions): void {
  if (runs.length === 0) {
    printLine(
      `${waiting ? 'No run waits for anybody' : open ? 'No run is open' : 'There are no runs'}; one that was started a moment ago may be missing.`,
    );
  } else if (waiting) printWaiting(runs);
  else {
    const rows = runs.map((run) => [
      run.workflowId,
      run.targets.join(', ') || (run.asked ?? ''),
      run.outcome ?? run.phase ?? '',
      age(run.startedAt),
      run.requestedBy ?? '',
    ]);
    for (const line of table(['RUN', 'TARGETS', 'STATE', 'AGE', 'BY'], rows)) printLine(line);
  }
}

interface ListedRun {
  workflowId: string;
  procedure?: string;
  targets: string[];
  phase?: string;
  outcome?: string;
  requestedBy?: string;
  startedAt: string;
  /** What it was asked to roll back, of a run that has no plan. */
  asked?: string;
  /** Where its targets are, of a run that waits, where it was started for regions. */
  regions?: string[];
  /** Whose approval is missing, of a run that waits for it. */
  missing?: string;
  /** Where a run waits for a decision about a step, and which. */
  pausedAt?: PausedStep[];
}

/** Adds what a run without a plan was started for and by whom, as its start says. */
async function addAsked(
  { client, namespace }: Temporal,
  found: ListedRun,
  { workflowId, runId, memo }: WorkflowExecutionInfo,
): Promise<void> {
  // It may have been deleted since it was listed, or be of somebody who wrote something else.
  const started = await startedWith(client, namespace, { workflowId, runId }).catch(
    () => undefined,
  );
  const { input } = started ?? {};
  const procedure = (Object.keys(procedures) as Procedure[]).find((one) => one === found.procedure);
  if (!procedure || typeof input !== 'object' || input === null) return;
  found.asked = subjectOf(procedure, input as Record<string, unknown>);
  if (found.requestedBy !== undefined) return;
  const { requestedBy } = input as { requestedBy?: unknown };
  const claimed = claimedBy(memo?.[startMemo]) ?? requestedBy;
  if (typeof claimed === 'string') found.requestedBy = `${claimed} (not proved)`;
}

/** Whose name the signature of a start bears, which nobody has checked here. */
function claimedBy(token: unknown): string | undefined {
  try {
    return typeof token === 'string' ? decodeJwt(token).sub : undefined;
  } catch {
    return undefined;
  }
}

/** Asks each run what it waits for, and where; one that no worker answers for is listed all the same. */
async function addMissing(temporal: Temporal, runs: ListedRun[]): Promise<void> {
  await Promise.all(
    runs.map(async (run) => {
      const handle = temporal.client.workflow.getHandle(run.workflowId);
      const open = await lookAt(temporal, handle).catch(() => undefined);
      const regions = open?.status?.plan?.targets.flatMap(({ region }) => region ?? []) ?? [];
      if (regions.length > 0) run.regions = [...new Set(regions)];
      const { status } = open ?? {};
      if (status?.phase === 'paused') run.pausedAt = status.pausedAt;
      else run.missing = status?.authority?.missing ?? `unknown, no worker answers: ${startWorker}`;
    }),
  );
}

function printWaiting(runs: ListedRun[]): void {
  for (const run of runs) {
    const { workflowId, targets, regions, startedAt, requestedBy, missing, pausedAt } = run;
    const where = regions ? ` in ${regions.join(', ')}` : '';
    const asked = `asked for by ${requestedBy}, ${age(startedAt)} ago`;
    printLine(paint('bold', `${targets.join(', ')}${where}  ${asked}`));
    if (pausedAt) {
      for (const line of pauseLines({ workflowId, pausedAt })) printLine(line);
    } else {
      printLine(`  missing: ${missing}`);
      printLine(`  rollback approve ${shellWord(workflowId)}`);
    }
  }
}

/** Prints a run as it is now. */
export async function status(workflowId: string, options: { json?: boolean }): Promise<number> {
  return withTemporal(async (temporal) => {
    const handle = temporal.client.workflow.getHandle(workflowId);
    const { status: state } = await describeRun(handle);
    if (state.name === 'RUNNING') {
      const run = await lookAt(temporal, handle);
      if (!run.status) {
        throw new CliError(
          `Run ${workflowId} is open, but no worker answers for it: ${startWorker}. It goes on by itself as soon as one does.`,
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
    await describeRun(handle);
    const result = await follow(temporal, handle, options.json === true);
    return outcomes[result.outcome].exitCode;
  });
}

function show(run: RunStatus, lines: string[], { json }: { json?: boolean }): void {
  if (json) printJson(run);
  else for (const line of lines) printLine(line);
}
