import type { WorkflowHandle } from '@temporalio/client';
import { setTimeout as delay } from 'node:timers/promises';
import type { Plan } from '../contract/plan.ts';
import type { RunResult, RunStatus } from '../contract/run.ts';
import { shellWord } from '../contract/printable.ts';
import { startWorker } from './errors.ts';
import { paint, printJson, printLine, printNote } from './output.ts';
import { type OpenRun, lookAt, resultOf } from './run-status.ts';
import type { Temporal } from './temporal.ts';
import {
  authorityLines,
  decideLines,
  endLines,
  pauseLines,
  planLines,
  runLines,
  stepLine,
} from './view.ts';

/** A redrawn view should look alive; elsewhere each look only takes time from the run. */
const lookEveryMs = { live: 250, lines: 1000 };

const noWorker = `No worker answers: the run goes on as soon as one does; ${startWorker}.`;

/** Shows a run while it goes. */
interface View {
  show(run: OpenRun): void;
  end(result: RunResult): void;
}

/** Follows a run to its end: redrawn on a terminal, lines elsewhere, JSON lines with `json`. */
export async function follow(
  temporal: Temporal,
  handle: WorkflowHandle,
  json: boolean,
): Promise<RunResult> {
  // A terminal without a size cannot be drawn on.
  const live = !json && process.stdout.isTTY && process.stdout.rows > 0;
  const view = json ? jsonView() : live ? await liveView() : plainView();
  const pauseMs = live ? lookEveryMs.live : lookEveryMs.lines;
  const ended = resultOf(handle);
  const interrupted = () => {
    const id = shellWord(handle.workflowId);
    printNote(
      `\nThe run goes on. To follow it again: rollback watch ${id}; to take back what it has done: rollback abort ${id}`,
    );
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  const over = ended.then(
    () => true,
    () => true,
  );
  while (!(await Promise.race([over, delay(pauseMs, false)]))) {
    // A look that fails is no reason to stop following: the end is awaited apart from it.
    const run = await Promise.race([over, lookAt(temporal, handle).catch(() => undefined)]);
    if (typeof run === 'object') view.show(run);
  }
  const result = await ended;
  process.off('SIGINT', interrupted);
  view.end(result);
  return result;
}

function jsonView(): View {
  let last = '';
  const print = (status: RunStatus) => {
    const text = JSON.stringify(status);
    if (text !== last) printJson(status);
    last = text;
  };
  return { show: ({ status }) => status && print(status), end: print };
}

async function liveView(): Promise<View> {
  const { default: logUpdate } = await import('log-update');
  return {
    show({ status, progress, retrying }) {
      if (status) logUpdate(runLines(status, progress, retrying).join('\n'));
      else logUpdate(paint('yellow', noWorker));
    },
    end(result) {
      // What stays is printed as it is: whole lines to copy, however narrow the terminal is.
      logUpdate.clear();
      logUpdate.done();
      for (const line of [...runLines(result), '', ...endLines(result)]) printLine(line);
    },
  };
}

function plainView(): View {
  let plan: Plan | undefined;
  const printed = new Set<string>();
  const notes = new Map<string, string>();
  const once = (line: string, key = line) => {
    if (!printed.has(key)) printLine(line);
    printed.add(key);
  };
  const news = (status: RunStatus) => {
    if (status.plan && plan?.digest !== status.plan.digest) {
      plan = status.plan;
      for (const line of planLines(plan)) printLine(line);
    }
    for (const line of authorityLines(status)) once(line);
    if (status.phase === 'awaiting-approval') for (const line of decideLines(status)) once(line);
    for (const step of status.steps) {
      once(stepLine(step), `${step.startedAt} ${step.title} ${step.state} ${step.attempt}`);
    }
    for (const line of pauseLines(status)) once(line);
  };
  /** Prints a note unless it is the one that was printed last about the same. */
  const note = (about: string, text: string) => {
    if (notes.get(about) !== text) printLine(`         ${about ? `${about}: ` : ''}${text}`);
    notes.set(about, text);
  };
  return {
    show({ status, progress, retrying }) {
      if (status) news(status);
      if (!status) note('', noWorker);
      else if (retrying) note('', retrying);
      else for (const { about = '', text } of progress) note(about, text);
    },
    end(result) {
      news(result);
      for (const line of endLines(result)) printLine(line);
    },
  };
}
