/** What a run shows while it goes: the answers of its queries, search attributes and details in the Temporal UI. */
import {
  defineQuery,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { AuthorityStatus, StartAuthority } from '../../contract/authority.ts';
import type { CommonInput } from '../../contract/input.ts';
import { type Plan, type Planned, targetName } from '../../contract/plan.ts';
import {
  type Outcome,
  type PausedStep,
  type Phase,
  type RunResult,
  type RunStatus,
  type SealedPlan,
  sealedPlanQuery,
  type StepStatus,
  unknownRequester,
} from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import type { Decisions } from './decisions.ts';
import { describeRun } from './details.ts';

const statusQuery = defineQuery<RunStatus>('status');
const sealQuery = defineQuery<SealedPlan | undefined>(sealedPlanQuery);
const planQuery = defineQuery<Plan | undefined>('plan');

export class StatusBoard {
  readonly status: RunStatus;
  private sealed: SealedPlan | undefined;
  private stepsBeganAt: number | undefined;
  private phaseBefore: Phase = 'executing';
  private waitMessage: (() => string) | undefined;

  constructor(procedure: string) {
    const { workflowId, firstExecutionRunId, runStartTime } = workflowInfo();
    this.status = {
      workflowId,
      runId: firstExecutionRunId,
      procedure,
      phase: 'planning',
      startedAt: runStartTime.toISOString(),
      steps: [],
      message: 'Planning.',
      next: [],
      gaps: [],
      pausedAt: [],
    };
    setHandler(statusQuery, () => this.status, {
      description: 'Phase, plan, steps and outcome of the run.',
    });
    setHandler(planQuery, () => this.status.plan, {
      description: 'What the run changes, once it is planned.',
    });
    setHandler(sealQuery, () => this.sealed, {
      description: 'The plan with the seal of the worker that made it.',
    });
    upsertSearchAttributes([
      { key: searchAttributes.procedure, value: procedure },
      { key: searchAttributes.phase, value: 'planning' },
    ]);
    this.show();
  }

  /** Shows what was asked for and what it comes to. */
  planned({ input, plan, seal, start, assessment }: Planned<CommonInput>): void {
    this.sealed = { plan, seal };
    const requestedBy = requesterOf(start, input);
    const { decisions = [], refused = 0 } = this.status.authority ?? {};
    const authority: AuthorityStatus = { ...assessment, start, decisions, refused };
    Object.assign(this.status, { plan, reason: input.reason, requestedBy, authority });
    upsertSearchAttributes([
      { key: searchAttributes.targets, value: plan.targets.map(targetName) },
      { key: searchAttributes.trigger, value: input.trigger },
      { key: searchAttributes.requestedBy, value: requestedBy },
      ...(input.cause ? [{ key: searchAttributes.cause, value: input.cause }] : []),
    ]);
    this.show();
  }

  /** Goes back to planning, because the plan does not hold any more. */
  planAgain(why: string): void {
    Object.assign(this.status, { steps: [], plannedAgain: why });
    this.enter('planning', `Planning again. ${why}`);
  }

  /** Shows who decided what; to be called whenever that changes. */
  showDecisions({ assessment, records, refused }: Decisions): void {
    const { authority } = this.status;
    if (!authority) return;
    authority.refused = refused;
    // A flood of what does not count changes nothing that is worth drawing again.
    if (!assessment || authority.decisions.length === records.length) return;
    Object.assign(authority, assessment, { decisions: [...records] });
    const { requester } = assessment;
    if (requester !== null && requester !== this.status.requestedBy) {
      this.status.requestedBy = requester;
      upsertSearchAttributes([{ key: searchAttributes.requestedBy, value: requester }]);
    }
    if (this.waitMessage && this.status.phase === 'awaiting-approval') {
      this.status.message = this.waitMessage();
    }
    this.show();
  }

  /** Enters the wait for approvals; `message` is asked anew whenever something was decided. */
  await(until: Date, message: () => string): void {
    if (this.status.authority) this.status.authority.waitsUntil = until.toISOString();
    this.waitMessage = message;
    this.enter('awaiting-approval', message());
  }

  enter(phase: Phase, message: string): void {
    if (phase !== 'awaiting-approval') delete this.status.authority?.waitsUntil;
    if (phase === 'executing') this.stepsBeganAt ??= Date.now();
    this.status.phase = phase;
    this.status.message = message;
    upsertSearchAttributes([{ key: searchAttributes.phase, value: phase }]);
    this.show();
  }

  /** Adds a step and answers it, to be changed in place with `show` after each change. */
  addStep(title: string): StepStatus {
    const startedAt = new Date().toISOString();
    const step: StepStatus = { title, state: 'running', attempt: 1, startedAt };
    this.status.steps.push(step);
    this.status.message = title;
    this.show();
    return step;
  }

  /** Takes a failed step up again. */
  tryAgain(step: StepStatus): void {
    step.attempt += 1;
    step.state = 'running';
    delete step.error;
    delete step.endedAt;
    this.show();
  }

  /** Shows what somebody has decided to leave out. */
  addGap(text: string): void {
    this.status.gaps.push(text);
    this.show();
  }

  /** Shows that the run waits for a decision about a step, until `goOn`. */
  pause(paused: PausedStep): void {
    const { pausedAt, phase } = this.status;
    pausedAt.push(paused);
    if (phase !== 'paused') this.phaseBefore = phase;
    this.enter('paused', `Paused at step "${paused.step}": ${paused.error}`);
  }

  goOn(paused: PausedStep): void {
    const { pausedAt } = this.status;
    pausedAt.splice(pausedAt.indexOf(paused), 1);
    if (pausedAt.every(({ until }) => until !== undefined))
      this.enter(this.phaseBefore, 'Going on.');
  }

  /** Shows that somebody may decide about a step that waits for a time, until `withdraw`. */
  offer(waiting: PausedStep): void {
    this.status.pausedAt.push(waiting);
    this.show();
  }

  withdraw(waiting: PausedStep): void {
    const { pausedAt } = this.status;
    pausedAt.splice(pausedAt.indexOf(waiting), 1);
    this.show();
  }

  end(outcome: Outcome, message: string, next: string[]): RunResult {
    const seconds = this.stepsBeganAt === undefined ? 0 : (Date.now() - this.stepsBeganAt) / 1000;
    const result: RunResult = Object.assign(this.status, {
      phase: 'done' as const,
      outcome,
      message,
      next,
      seconds,
      endedAt: new Date().toISOString(),
    });
    upsertSearchAttributes([
      { key: searchAttributes.phase, value: 'done' },
      { key: searchAttributes.outcome, value: outcome },
      { key: searchAttributes.seconds, value: seconds },
    ]);
    this.show();
    return result;
  }

  show(): void {
    setCurrentDetails(describeRun(this.status));
  }
}

/** Who asks for the run: proved by a signature, or as it was said. */
function requesterOf(start: StartAuthority, { requestedBy }: CommonInput): string {
  if ('by' in start) return start.by;
  return requestedBy === undefined ? unknownRequester : `${requestedBy} (not proved)`;
}
