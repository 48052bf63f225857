/** What a run shows while it goes: the answers of its queries, search attributes and details in the Temporal UI. */
import {
  defineQuery,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CommonInput } from '../../contract/input.ts';
import { type Plan, targetName } from '../../contract/plan.ts';
import {
  type Outcome,
  type Phase,
  type RunResult,
  type RunStatus,
  type StepStatus,
  unknownRequester,
} from '../../contract/run.ts';
import { searchAttributes } from '../../contract/search-attributes.ts';
import { describeRun } from './details.ts';

const statusQuery = defineQuery<RunStatus>('status');
const planQuery = defineQuery<Plan | undefined>('plan');

export class StatusBoard {
  readonly status: RunStatus;
  private stepsBeganAt: number | undefined;

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
    };
    setHandler(statusQuery, () => this.status, {
      description: 'Phase, plan, steps and outcome of the run.',
    });
    setHandler(planQuery, () => this.status.plan, {
      description: 'What the run changes, once it is planned.',
    });
    upsertSearchAttributes([
      { key: searchAttributes.procedure, value: procedure },
      { key: searchAttributes.phase, value: 'planning' },
    ]);
    this.show();
  }

  /** Shows what was asked for and what it comes to. */
  planned(input: CommonInput, plan: Plan): void {
    Object.assign(this.status, {
      plan,
      reason: input.reason,
      requestedBy: input.requestedBy ?? unknownRequester,
    });
    upsertSearchAttributes([
      { key: searchAttributes.targets, value: plan.targets.map(targetName) },
      { key: searchAttributes.trigger, value: input.trigger },
      { key: searchAttributes.requestedBy, value: input.requestedBy ?? unknownRequester },
      ...(input.cause ? [{ key: searchAttributes.cause, value: input.cause }] : []),
    ]);
    this.show();
  }

  enter(phase: Phase, message: string): void {
    if (phase === 'executing') this.stepsBeganAt ??= Date.now();
    this.status.phase = phase;
    this.status.message = message;
    upsertSearchAttributes([{ key: searchAttributes.phase, value: phase }]);
    this.show();
  }

  /** Adds a step and answers it, to be changed in place with `show` after each change. */
  addStep(title: string): StepStatus {
    const step: StepStatus = { title, state: 'running', startedAt: new Date().toISOString() };
    this.status.steps.push(step);
    this.status.message = title;
    this.show();
    return step;
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
