/** A run in lines for people. */
import type { ProgressDetails } from '../activities/progress.ts';
import { isInCluster, type Plan } from '../contract/plan.ts';
import type { RunResult, RunStatus, StepStatus } from '../contract/run.ts';
import { paint } from './output.ts';
import { shellWord } from '../contract/printable.ts';

const marks: Record<StepStatus['state'], string> = {
  running: paint('cyan', '…'),
  done: paint('green', '✓'),
  failed: paint('red', '✗'),
  paused: paint('yellow', '‖'),
  skipped: paint('yellow', '»'),
  undoing: paint('cyan', '…'),
  undone: paint('yellow', '↩'),
  'not-undone': paint('red', '✗'),
};

/** The plan: what changes, what differs, what to know. */
export function planLines(plan: Plan): string[] {
  const lines = [paint('bold', plan.summary)];
  lines.push(...plan.differences.map((line) => `  ${paint('dim', '~')} ${line}`));
  lines.push(...plan.warnings.map((line) => `  ${paint('yellow', '!')} ${line}`));
  const checks = [...new Set(plan.checks.map(({ check }) => check))];
  if (plan.changes.length > 0) {
    const contexts = [...new Set(plan.targets.map(({ context }) => context))];
    const inCluster = plan.targets.some(isInCluster);
    lines.push(
      `  ${paint('dim', '=')} ${inCluster ? 'Cluster: context' : 'At'} ${contexts.join(', ')}.`,
      ...plan.needs.map(
        ({ rule, roles, count, why }) =>
          `  ${paint('yellow', '=')} Needs the approval of ${count} ${roles.join(' or ')} (${rule}): ${why}.`,
      ),
      ...(checks.length > 0
        ? [`  ${paint('dim', '=')} Verified afterwards by: ${checks.join(', ')}.`]
        : []),
      ...(checks.length === 0 && inCluster
        ? [
            `  ${paint('dim', '=')} No checks are configured for this target: only its replicas are verified.`,
          ]
        : []),
      `  ${paint('dim', '=')} ${expectation(plan)} Digest ${plan.digest.slice(0, 12)}.`,
    );
  }
  return lines;
}

function expectation({ estimateSeconds }: Plan): string {
  return estimateSeconds === null
    ? 'How long it takes cannot be told: see what is in its way.'
    : `Expected to take about ${estimateSeconds} s.`;
}

/** Who asked for the run, and what was decided about it. */
export function authorityLines(status: RunStatus): string[] {
  const { authority, requestedBy, plannedAgain, reason, startedAt } = status;
  if (!authority) return [];
  const { start, needs, decisions, missing, refused, waitsUntil } = authority;
  const why = [start.kind === 'unsigned' ? start.why : '', reason ? `"${reason}"` : ''];
  const asked = [`Asked for by ${requestedBy} at ${startedAt}`, ...why.filter(Boolean)].join(': ');
  const lines = [`  ${paint('dim', '=')} ${asked}.`];
  if (plannedAgain) lines.push(`  ${paint('yellow', '!')} Planned again. ${plannedAgain}`);
  for (const { breakGlass, by, roles } of needs) {
    const words = `Break-glass: ${by.join(' and ')} stood in for ${roles.join(' or ')}.`;
    if (breakGlass) lines.push(`  ${paint('red', '!')} ${words}`);
  }
  for (const { decision, by, counted, text, note } of decisions) {
    const mark = counted ? paint('green', '✓') : paint('red', '✗');
    const said = note && !text.includes(note) ? ` "${note}"` : '';
    lines.push(`  ${mark} ${counted ? '' : `${decision} by ${by}: `}${text}${said}`);
  }
  const told = decisions.filter(({ counted }) => !counted).length;
  if (refused > told)
    lines.push(`  ${paint('red', '✗')} ${refused - told} more messages did not count.`);
  if (missing && waitsUntil)
    lines.push(`  ${paint('cyan', '…')} Missing until ${waitsUntil}: ${missing}.`);
  return lines;
}

/** One line of a step; `progress` is that of the step that is running. */
export function stepLine(step: StepStatus, progress?: ProgressDetails): string {
  const ended = step.endedAt === undefined ? Date.now() : Date.parse(step.endedAt);
  const seconds = ((ended - Date.parse(step.startedAt)) / 1000).toFixed(1);
  const said = step.state === 'undone' ? step.text : (step.error ?? step.text);
  const words = said ?? progress?.text ?? '';
  const time = paint('dim', `${seconds}s`.padStart(6));
  return `${marks[step.state]} ${time}  ${step.title}${words ? `: ${words}` : ''}`;
}

/** The whole run, redrawn while it goes. */
export function runLines(
  status: RunStatus,
  progress: readonly ProgressDetails[] = [],
  retrying?: string,
): string[] {
  const lines = status.plan ? [...planLines(status.plan), ...authorityLines(status), ''] : [];
  const running = status.steps.filter(({ state }) => state === 'running');
  const [only, ...others] = progress;
  const inLine = running.length === 1 && others.length === 0 ? only : undefined;
  lines.push(
    ...status.steps.map((step) => stepLine(step, step === running[0] ? inLine : undefined)),
  );
  if (running.length === 0 && status.phase !== 'done') {
    lines.push(`${paint('cyan', '…')} ${only?.text ?? status.message}`);
  } else if (!inLine) {
    lines.push(...progressLines(progress));
  }
  if (status.phase === 'awaiting-approval') lines.push(...decideLines(status));
  lines.push(...pauseLines(status));
  if (retrying) lines.push(`  ${paint('yellow', '!')} ${retrying}`);
  return lines;
}

const shownProgress = 8;

/** How far each of several activities is that are at work at once. */
export function progressLines(progress: readonly ProgressDetails[]): string[] {
  const lines = progress
    .slice(0, shownProgress)
    .map(({ about, text }) => `  ${paint('cyan', '…')} ${about ? `${about}: ` : ''}${text}`);
  const more = progress.length - lines.length;
  return more > 0 ? [...lines, `  ${paint('cyan', '…')} and ${more} more`] : lines;
}

/** How whoever is missing decides; each command on a line of its own, to be copied whole. */
export function decideLines({ workflowId }: RunStatus): string[] {
  const id = shellWord(workflowId);
  return [
    '  Look and decide:',
    `  ${paint('bold', `rollback approve ${id}`)}`,
    `  ${paint('bold', `rollback reject ${id} --note "why"`)}`,
  ];
}

/** Where the run is paused, and how that is answered. */
export function pauseLines({
  pausedAt,
  workflowId,
}: Pick<RunStatus, 'pausedAt' | 'workflowId'>): string[] {
  return pausedAt.map(({ step, attempt, allowed, until, mayStay }) => {
    const id = shellWord(workflowId);
    const which = pausedAt.length > 1 ? ` --step ${shellWord(step)}` : '';
    const words = allowed.flatMap((name) =>
      name === 'skip' && mayStay ? [name, 'skip --stay'] : [name],
    );
    const commands = words.map((name) =>
      // An abort takes all back, wherever the run is paused.
      paint('bold', `rollback ${name} ${id}${name === 'abort' ? '' : which}`),
    );
    if (until !== undefined) {
      return `  ${paint('cyan', '…')} "${step}" goes on by itself at ${until}; before that: ${commands.join(', ')}`;
    }
    return `  ${paint('yellow', '‖')} Paused at "${step}", attempt ${attempt}: ${commands.join(', ')}`;
  });
}

/** How the run ended. */
export function endLines(result: RunResult): string[] {
  const good = ['rolled-back', 'no-op', 'dry-run'].includes(result.outcome);
  const seconds = result.seconds ? ` in ${result.seconds.toFixed(1)} s` : '';
  const head = paint(good ? ['green', 'bold'] : ['red', 'bold'], `${result.outcome}${seconds}`);
  const planOnly = result.outcome === 'dry-run' ? ': nothing was changed' : '';
  const message = good ? planOnly : `: ${result.message}`;
  const gaps = result.gaps.map((gap) => `  ${paint('yellow', '»')} ${gap}`);
  return [`${head}${message}`, ...gaps, ...result.next.map((line) => `  ${line}`)];
}
