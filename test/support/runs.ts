/** What a test does with runs: starts them, looks at them, decides about them. */
import {
  ApplicationFailure,
  type Client,
  WorkflowFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { randomBytes, randomUUID } from 'node:crypto';
import { signStart } from '../../src/authority/sign-start.ts';
import { sendDecision } from '../../src/client/send-decision.ts';
import { isUnanswered } from '../../src/client/temporal.ts';
import {
  tokenTypes,
  type DecisionAnswer,
  type DecisionClaims,
  type DecisionName,
  type StepDecisionName,
} from '../../src/contract/decision.ts';
import { type Procedure, procedures } from '../../src/contract/input.ts';
import type { Plan } from '../../src/contract/plan.ts';
import { startMemo, taskQueue, type RunResult, type RunStatus } from '../../src/contract/run.ts';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import { keyOf, type PersonName } from './people.ts';

export type HistoryEvent = NonNullable<
  Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']
>[number];

/** Input of a run as a person gives it. */
export type Input = Record<string, unknown> & { deployment?: string };

export abstract class Runs {
  /** Where runs that name no other namespace are. */
  abstract readonly cluster: TestCluster;
  abstract readonly client: Client;
  /** What the runs of this file roll back. */
  readonly procedure: Procedure = 'deployment';
  /** Ids of all that were started. */
  protected readonly started: string[] = [];

  /** Starts a run in this file's namespace as the on-call engineer does, and answers its id. */
  async start(input: Input, workflowId = newId(), as?: PersonName | 'nobody'): Promise<string> {
    // What is in no cluster is in no namespace.
    const isPlaced = 'namespace' in procedures[this.procedure].input.shape;
    const place = isPlaced ? { namespace: this.cluster.namespace } : {};
    return this.startAs(as ?? 'on-call', { ...place, ...input }, workflowId);
  }

  /** Starts a run with an input as it is, signed by this person or by nobody. */
  async startAs(
    person: PersonName | 'nobody',
    input: unknown,
    workflowId = newId(),
    procedure = this.procedure,
  ): Promise<string> {
    const { workflowType } = procedures[procedure];
    const run = { namespace: 'default', workflowId, workflowType, input };
    const memo =
      person === 'nobody' ? {} : { [startMemo]: await signStart(await keyOf(person), run) };
    await this.client.workflow.start(workflowType, { workflowId, taskQueue, memo, args: [input] });
    this.started.push(workflowId);
    return workflowId;
  }

  /** Waits for the end of a run and answers its result, whatever the outcome. */
  async result(workflowId: string): Promise<RunResult> {
    try {
      return (await this.client.workflow.getHandle(workflowId).result()) as RunResult;
    } catch (error) {
      return failureOf(error).details?.[0] as RunResult;
    }
  }

  /** Starts a run with an input as it is, and answers the failure that it ends with. */
  async failure(input: unknown): Promise<ApplicationFailure> {
    const workflowId = await this.startAs('on-call', input);
    try {
      await this.client.workflow.getHandle(workflowId).result();
    } catch (error) {
      return failureOf(error);
    }
    throw new Error(`Run ${workflowId} did not fail.`);
  }

  /** Starts a run and waits for its end. */
  async run(input: Input): Promise<RunResult> {
    return this.result(await this.start(input));
  }

  /** Releases an owner of this file's namespace, and waits until that is done. */
  async release(owner: string): Promise<RunResult> {
    const input = { owner, namespace: this.cluster.namespace };
    return this.result(await this.startAs('on-call', input, newId(), 'release'));
  }

  /** The status of a run; a worker too busy to answer in time is asked again, as `rollback watch` does. */
  async status(workflowId: string): Promise<RunStatus> {
    const run = this.client.workflow.getHandle(workflowId);
    const look = () =>
      run.query<RunStatus>('status').catch((error: unknown) => {
        if (isUnanswered(error)) return undefined;
        throw error;
      });
    return eventually(`a worker answers for run ${workflowId}`, look, 20_000);
  }

  /** Waits until a run has made its plan. */
  async untilPlanned(workflowId: string): Promise<Plan> {
    return eventually(
      `run ${workflowId} has a plan`,
      async () => (await this.status(workflowId)).plan,
    );
  }

  /** Waits until a run waits for approvals, and answers its status then. */
  async untilWaiting(workflowId: string): Promise<RunStatus> {
    return eventually(`run ${workflowId} waits for approvals`, async () => {
      const status = await this.status(workflowId);
      return status.phase === 'awaiting-approval' && status;
    });
  }

  /** Starts a run and waits until it is paused at a step. */
  async runUntilPaused(input: Input): Promise<RunStatus> {
    return this.untilPaused(await this.start(input));
  }

  /** Waits until a run is paused at a step, and answers its status then. */
  async untilPaused(workflowId: string, withinMs?: number): Promise<RunStatus> {
    const look = async () => {
      const status = await this.status(workflowId);
      return ['paused', 'done'].includes(status.phase) && status;
    };
    const paused = await eventually(`run ${workflowId} is paused`, look, withinMs);
    if (paused.phase === 'paused') return paused;
    throw new Error(`Run ${workflowId} ended as ${paused.outcome}: ${paused.message}`);
  }

  /** Decides about the step at which a run is paused, as the CLI does. */
  async decideStep(
    { workflowId, pausedAt: [paused] }: RunStatus,
    decision: StepDecisionName,
    person: PersonName = 'on-call',
  ): Promise<DecisionAnswer> {
    const { step, attempt } = paused ?? {};
    const token = await this.token(workflowId, decision, person, { step, attempt });
    return this.send(workflowId, { decision, token, step, attempt });
  }

  /** Aborts a paused run, and answers how it ended. */
  async abort(status: RunStatus): Promise<RunResult> {
    const { counted, text } = await this.decideStep(status, 'abort');
    if (!counted) throw new Error(text);
    return this.result(status.workflowId);
  }

  /** Decides about the plan that a run shows now, by update, as the CLI does. */
  async decide(
    workflowId: string,
    decision: DecisionName,
    person: PersonName,
    claims: Partial<DecisionClaims> = {},
  ): Promise<DecisionAnswer> {
    const token = await this.token(workflowId, decision, person, claims);
    return this.send(workflowId, { decision, token });
  }

  /** A signed decision about the plan that a run shows now; `claims` win over what is right. */
  async token(
    workflowId: string,
    decision: DecisionName,
    person: PersonName,
    claims: Partial<DecisionClaims> = {},
  ): Promise<string> {
    const { plan, runId } = await this.status(workflowId);
    const key = await keyOf(person);
    const iat = Math.floor(Date.now() / 1000);
    return key.sign(tokenTypes.decision, {
      ...{ sub: person, aud: `default/${workflowId}`, run: runId, decision, digest: plan?.digest },
      ...{ iat, exp: iat + 600, executeBy: iat + 3600 },
      ...claims,
    });
  }

  /** Sends a message as the CLI does; one that the validator turned away did not count. */
  async send(workflowId: string, message: unknown): Promise<DecisionAnswer> {
    const decision = message as Parameters<typeof sendDecision>[2];
    const { counted, text } = await sendDecision(this, workflowId, decision);
    return { counted: counted === true, text };
  }

  /**
   * Resets a run, as the Temporal UI does it, to the last end of a workflow task for which all events
   * before satisfy `until`; what came later is sent again or not.
   */
  async reset(
    workflowId: string,
    until: (events: HistoryEvent[]) => boolean = () => true,
    later: 'again' | 'never' = 'never',
  ): Promise<void> {
    const { events } = await this.client.workflow.getHandle(workflowId).fetchHistory();
    const ends = (events ?? []).filter(
      (event, index, all) =>
        event.workflowTaskCompletedEventAttributes && until(all.slice(0, index)),
    );
    await this.client.workflowService.resetWorkflowExecution({
      ...{ namespace: 'default', workflowExecution: { workflowId }, reason: 'tried by hand' },
      ...{ requestId: randomUUID(), workflowTaskFinishEventId: ends.at(-1)?.eventId },
      // RESET_REAPPLY_TYPE_NONE, or all that is eligible.
      resetReapplyType: later === 'never' ? 2 : 3,
    });
  }
}

function newId(): string {
  return `run-${randomBytes(4).toString('hex')}`;
}

function failureOf(error: unknown): ApplicationFailure {
  const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
  if (cause instanceof ApplicationFailure) return cause;
  throw error;
}
