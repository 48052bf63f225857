/** Decisions about a run, of its plan or of a step: shows what they are about, asks, signs and sends. */
import { userInfo } from 'node:os';
import type { WorkflowHandle } from '@temporalio/client';
import type { SigningKey } from '../../authority/private-key.ts';
import {
  audienceOf,
  isStepDecision,
  maxNoteLength,
  type DecisionMessage,
  type DecisionName,
  type StepDecisionName,
} from '../../contract/decision.ts';
import type { StartAuthority } from '../../contract/authority.ts';
import type { Plan } from '../../contract/plan.ts';
import type { PausedStep, Phase, RunStatus } from '../../contract/run.ts';
import { ask } from '../ask.ts';
import { CliError, exitCodes, startWorker } from '../errors.ts';
import { paint, printJson, printLine, printNote } from '../output.ts';
import { ownKey } from '../own-key.ts';
import { printable, shellWord } from '../../contract/printable.ts';
import { describeRun, lookAt } from '../run-status.ts';
import { assertDigest, checkSeal, readSealedPlan } from '../sealed-plan.ts';
import { sendDecision } from '../send-decision.ts';
import { signDecision } from '../sign-decision.ts';
import { withTemporal, type Temporal } from '../temporal.ts';
import { authorityLines, pauseLines, planLines, stepLine } from '../view.ts';

export interface DecideOptions {
  key?: string;
  yes?: boolean;
  print?: boolean;
  note?: string;
  breakGlass?: boolean;
  /** The step that is meant, where the run is paused at several. */
  step?: string;
  /** Ends a run that watches, with all left as it stands. */
  stay?: boolean;
  unchecked?: boolean;
  json?: boolean;
}

/** Decides about a run as the owner of the caller's key; answers the exit code. */
export async function decide(
  decision: DecisionName,
  workflowId: string,
  options: DecideOptions,
): Promise<number> {
  const key = await ownKey(options.key);
  if (!key && decision !== 'retry') {
    throw new CliError(
      'A decision is signed: name your key with --key or ROLLBACK_KEY, or make one with rollback keygen NAME.',
    );
  }
  checkNote(decision, options);
  return withTemporal(async (temporal) => {
    const message = await messageOf(temporal, key, decision, workflowId, options);
    if (options.print) {
      printJson(message);
      return 0;
    }
    const answer = await sendDecision(temporal, workflowId, message);
    if (options.json) printJson(answer);
    else {
      const words = `${answer.counted === false ? 'Not counted: ' : ''}${printable(answer.text)}`;
      printLine(paint(answer.counted ? 'green' : 'red', words));
    }
    if (answer.counted === null) return exitCodes.unreachable;
    return answer.counted ? 0 : exitCodes.usage;
  });
}

function checkNote(decision: string, { note, breakGlass }: DecideOptions): void {
  if (note !== undefined && note.length > maxNoteLength) {
    throw new CliError(`The note is longer than ${maxNoteLength} characters.`);
  }
  if (note) return;
  if (decision === 'reject')
    throw new CliError('Say why with --note: it stands in the audit trail.');
  if (breakGlass) throw new CliError('Break-glass needs a reason: say it with --note.');
}

async function messageOf(
  temporal: Temporal,
  key: SigningKey | undefined,
  decision: DecisionName,
  workflowId: string,
  options: DecideOptions,
): Promise<DecisionMessage & { decision: DecisionName }> {
  const { client, namespace } = temporal;
  const handle = client.workflow.getHandle(workflowId);
  const described = await describeRun(handle);
  if (described.status.name !== 'RUNNING') {
    throw new CliError(
      `Run ${shellWord(workflowId)} has ended (${described.status.name.toLowerCase()}), so there is nothing to decide: see rollback status ${shellWord(workflowId)}.`,
    );
  }
  // The server's word, not the run's: a decision must not be moved to an earlier run with this id.
  const run = described.raw.workflowExecutionInfo?.firstRunId || described.runId;
  const aud = audienceOf(namespace, workflowId);
  // To try again changes nothing that was not approved, so nothing is shown or asked for it.
  const { plan, status } =
    decision === 'retry'
      ? await planAsTold(temporal, handle)
      : await show(temporal, handle, { aud, run, decision }, options);
  const about = isStepDecision(decision)
    ? pausedStep(decision, workflowId, status, options.step)
    : undefined;
  const { step, attempt, mayStay } = about ?? {};
  // Workers of earlier versions would take it for a skip.
  if (options.stay && !mayStay) {
    throw new CliError(
      `Run ${shellWord(workflowId)} watches nothing that could be left as it stands: see rollback status ${shellWord(workflowId)}.`,
    );
  }
  if (!key) return { decision, step, attempt, by: userInfo().username };
  if (!options.yes && !options.print && decision !== 'retry') await confirm(decision, key.sub);
  const token = await signDecision(key, {
    ...{ aud, run, decision, digest: plan?.digest ?? '', step, attempt },
    ...(options.note ? { note: options.note } : {}),
    ...(options.breakGlass ? { breakGlass: true } : {}),
    ...(options.stay ? { stays: true } : {}),
  });
  return { decision, step, attempt, token };
}

/** The run's own word of its plan and of where it is paused. */
async function planAsTold(temporal: Temporal, handle: WorkflowHandle) {
  const status = await statusOf(temporal, handle);
  return { plan: status?.plan, status };
}

/** Looks once more where no worker answers at first: one that is busy, or has just started, does then. */
async function statusOf(temporal: Temporal, handle: WorkflowHandle) {
  const { status } = await lookAt(temporal, handle);
  return status ?? (await lookAt(temporal, handle)).status;
}

/**
 * The step that is decided about: the only one at which the run is paused, or the one that is named.
 * Undefined for an abort that names none: it is about the run as a whole, whatever it is at when it arrives.
 */
function pausedStep(
  decision: StepDecisionName,
  workflowId: string,
  status: RunStatus | undefined,
  named: string | undefined,
): PausedStep | undefined {
  const id = shellWord(workflowId);
  const paused = status?.pausedAt ?? [];
  if (!status) {
    throw new CliError(
      `No worker answers for run ${id}, so where it is paused is not known: ${startWorker}.`,
      exitCodes.unreachable,
    );
  }
  if (decision === 'abort' && named === undefined && mayBeAborted(status)) return undefined;
  if (paused.length === 0) {
    throw new CliError(
      `Run ${id} is not paused at a step, so there is nothing to ${decision}: ${insteadOf(decision, status, id)}.`,
    );
  }
  const found = paused.filter(({ step }) => named === undefined || step === named);
  const [only] = found;
  if (only && found.length === 1) return only;
  throw new CliError(
    `Run ${id} is paused at ${paused.map(({ step }) => shellWord(step)).join(' and ')}: say which with --step.`,
  );
}

/** What can be done about a run that is not paused. */
function insteadOf(decision: StepDecisionName, { phase }: RunStatus, id: string): string {
  if (phase === 'awaiting-approval') {
    return `it waits for approval and has changed nothing: rollback reject ${id} --note WHY ends it`;
  }
  if (phase === 'compensating') return 'it is going back already, and pauses where that fails';
  if (decision === 'abort')
    return `leave out --step: rollback abort ${id} takes all back at any time`;
  return `a step that fails pauses by itself, and rollback abort ${id} takes all back at any time`;
}

/** Whether the run acts, or waits for its turn to. */
function mayBeAborted({ phase, plan }: RunStatus): boolean {
  const mayAct: Phase[] = ['planning', 'executing', 'verifying', 'paused'];
  return plan !== undefined && mayAct.includes(phase);
}

/** Shows what would be decided about, and answers it. */
async function show(
  temporal: Temporal,
  handle: WorkflowHandle,
  run: { aud: string; run: string; decision: DecisionName },
  { unchecked, print, json }: DecideOptions,
): Promise<{ plan: Plan; status: RunStatus | undefined }> {
  const [sealed, status] = await Promise.all([
    readSealedPlan(temporal, handle),
    statusOf(temporal, handle).catch(() => undefined),
  ]);
  if (unchecked) assertDigest(sealed.plan);
  const start = unchecked ? undefined : await checkSeal(sealed, run, temporal.address);
  // What is printed for a pipe must be the message alone.
  const line = print || json ? printNote : printLine;
  for (const text of planLines(printable(sealed.plan))) line(text);
  line(
    start
      ? `  ${paint('dim', '=')} Made and sealed by a worker of yours; ${startWords(printable(start))}.`
      : `  ${paint('red', '!')} Nobody has checked that a worker of yours made this plan.`,
  );
  const done = run.decision === 'abort' && status ? status.steps.map((step) => stepLine(step)) : [];
  const claimed = status ? [...authorityLines(status), ...done, ...pauseLines(status)] : [];
  if (claimed.length > 0) line('As the run itself tells it, which is no proof:');
  for (const text of claimed) line(text);
  if (run.decision === 'abort') line('An abort takes back what it has done, the last step first.');
  return { plan: sealed.plan, status };
}

function startWords(start: StartAuthority): string {
  switch (start.kind) {
    case 'signed':
      return `${start.by} signed the start`;
    case 'replanned':
      return `${start.by} signed the start, and the plan is another one since`;
    case 'automatic':
      return `started automatically: ${start.text}`;
    case 'trusted':
      return `started unsigned, which your settings allow, by ${start.text}`;
    case 'unsigned':
      return start.why;
  }
}

async function confirm(decision: string, name: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new CliError(
      `This is no terminal, so nobody can be asked: look at the plan above, and add --yes to ${decision} it.`,
    );
  }
  if (await ask(`${decision[0]?.toUpperCase()}${decision.slice(1)} this as ${name}?`)) return;
  throw new CliError('Nothing was decided.', 1);
}
