/** What people decide about a run: messages in, and what counted of them. */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  defineSignal,
  defineUpdate,
  log,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Assessment, DecisionRecord } from '../../contract/authority.ts';
import {
  audienceOf,
  decideUpdateName,
  decisionNames,
  decisionProblem,
  isStepDecision,
  quoted,
  tooLateToArrive,
  type DecisionAnswer,
  type DecisionMessage,
  type DecisionName,
} from '../../contract/decision.ts';
import type { Authorization, Planned, RunIdentity } from '../../contract/plan.ts';
import { Flood, recordedRefusals } from './flood.ts';
import { claimedBy, isAboutWholeRun, nameIn, tokenIn } from './message.ts';
import { messageOf } from './outcome.ts';
import { Pauses, type Pause } from './pauses.ts';
import { authority } from './proxies.ts';
import { Stop } from './stop.ts';
import { isSignedBy, type ReadToken } from './token.ts';

const decideUpdate = defineUpdate<DecisionAnswer, [unknown]>(decideUpdateName);

/** Messages of a run that is not planned yet wait; an honest one is there at most after a reset. */
const waitingMessages = 20;

/** What is open for decisions. */
interface Subject {
  planned: Planned<unknown>;
  assessment: Assessment;
  approvals: string[];
  rejection?: string;
  /** Why the plan does not hold any more. */
  void?: string;
}

export class Decisions {
  /** What counted, and the first few that did not. */
  readonly records: DecisionRecord[] = [];
  readonly identity: RunIdentity;
  readonly pauses = new Pauses();
  readonly stop = new Stop();
  private readonly changed: (decisions: Decisions) => void;
  private subject: Subject | undefined;
  /** Why nothing can be decided any more. */
  private closed: string | undefined;
  /** Why nothing can be decided about the plan as a whole. */
  private settled: string | undefined;
  private readonly seen = new Set<string>();
  /** In which the plan was made. */
  private execution: string | undefined;
  private waiting = 0;
  private readonly flood = new Flood();
  private queue: Promise<unknown> = Promise.resolve();

  /**
   * @param changed called when there is something new to show, which may be before this constructor
   *   has returned: signals that came before the run are handled in it
   */
  constructor(identity: RunIdentity, changed: (decisions: Decisions) => void) {
    this.identity = identity;
    this.changed = changed;
    setHandler(decideUpdate, (message) => this.decide(message, nameIn(message)), {
      validator: (message) => this.turnAway(message),
      description: 'Approves or rejects, signed; answers whether it counted. See rollback approve.',
    });
    for (const name of decisionNames) {
      setHandler(defineSignal<[unknown]>(name), (message) => this.signalled(message, name), {
        description: `Decision "${name}": {"token": "..."}, made by rollback ${name} --print.`,
      });
    }
  }

  /** Opens a plan for decisions; what was decided about an earlier one is void. */
  open(planned: Planned<unknown>): void {
    this.subject = { planned, assessment: planned.assessment, approvals: [] };
    this.settled = undefined;
    // What was decided about an equal plan before a reset may be kept, and then comes again.
    if (planned.execution !== this.execution) this.seen.clear();
    this.execution = planned.execution;
  }

  /** The plan is being made anew: messages wait for it. */
  suspend(): void {
    this.subject = undefined;
  }

  /**
   * Nothing can be decided about the plan as a whole from here on, and `why` is told to whoever
   * tries. Resolves when everybody who was before it has an answer, also in a cancelled run.
   */
  async settle(why: string): Promise<void> {
    this.settled = why;
    await this.answered();
  }

  /** As `settle`, for everything. */
  async finish(why: string): Promise<void> {
    this.closed = why;
    await this.answered();
  }

  /** Whether there are messages that nobody has an answer to yet. */
  get isLooking(): boolean {
    return this.flood.pending > 0;
  }

  /** Resolves when everybody has an answer whose message has come by now, also in a cancelled run. */
  async heard(): Promise<void> {
    await CancellationScope.nonCancellable(() => this.queue);
  }

  private answered(): Promise<void> {
    return CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  }

  /** How many messages did not count. */
  get refused(): number {
    return this.flood.refused;
  }

  get assessment(): Assessment | undefined {
    return this.subject?.assessment;
  }

  /** How the plan was rejected, in words; undefined where it was not. */
  get rejection(): string | undefined {
    return this.subject?.rejection;
  }

  /** Why the plan does not hold any more; undefined where it does. */
  get void(): string | undefined {
    return this.subject?.void;
  }

  /** What the plan was approved with, for the activities that carry it out. */
  get authorization(): Authorization {
    const { planned, approvals = [] } = this.subject ?? {};
    return { seal: planned?.seal ?? '', approvals: [...approvals] };
  }

  /** The update's validator: throws at what cannot count, once enough of that was recorded. */
  private turnAway(message: unknown): void {
    if (this.subject === undefined && this.closed === undefined) {
      if (this.waiting >= waitingMessages) throw notCounted('The run is not planned yet: wait.');
      return;
    }
    if (!this.flood.isOn) return;
    const token = tokenIn(message);
    const problem =
      this.plainProblem(message, token, nameIn(message)) ??
      (token && this.isSigned(token) ? undefined : 'The signature of the token is wrong.');
    if (problem === undefined) return;
    log.warn('A decision was turned away.', { decision: nameIn(message), problem });
    throw notCounted(problem);
  }

  /** Not async: thousands of forged signals may come in one task, and each promise costs. */
  private signalled(message: unknown, name: DecisionName): void | Promise<void> {
    const isPlanned = this.subject !== undefined || this.closed !== undefined;
    if (isPlanned ? this.isFlood(message, name) : this.waiting >= waitingMessages) {
      this.flood.refused += 1;
      this.changed(this);
      return;
    }
    return this.decide(message, name).then(() => undefined);
  }

  /** Whether a signal is not worth a closer look, after all that did not count before it. */
  private isFlood(message: unknown, name: DecisionName): boolean {
    if (!this.flood.isOn) return false;
    const token = tokenIn(message);
    if (this.plainProblem(message, token, name) !== undefined || !token) return true;
    return !this.flood.isWorthALook(() => this.isSigned(token));
  }

  private isSigned(token: ReadToken): boolean {
    return isSignedBy(token, this.subject?.planned.keys ?? []);
  }

  /**
   * Looks at one message after the other, so that each is judged with those before it. Shielded from
   * cancellation, and never fails: whatever somebody sends must not end the run.
   */
  private decide(message: unknown, name: DecisionName | undefined): Promise<DecisionAnswer> {
    this.waiting += 1;
    this.flood.pending += 1;
    const answer = CancellationScope.nonCancellable(async () => {
      await this.queue;
      await condition(() => this.subject !== undefined || this.closed !== undefined);
      this.waiting -= 1;
      try {
        return await this.examine(message as DecisionMessage | undefined, name);
      } catch (error) {
        return this.refuse(name ?? 'unknown', 'unknown', messageOf(error));
      } finally {
        this.flood.pending -= 1;
      }
    });
    this.queue = answer;
    return answer;
  }

  private async examine(
    message: DecisionMessage | undefined,
    name: DecisionName | undefined,
  ): Promise<DecisionAnswer> {
    const token = tokenIn(message);
    const problem = this.plainProblem(message, token, name);
    const { subject } = this;
    if (problem !== undefined || !name || !subject) {
      return this.refuse(
        name ?? 'unknown',
        claimedBy(token),
        problem ?? 'Nothing waits for a decision.',
      );
    }
    const isWhole = isAboutWholeRun(name, message);
    const pause = isStepDecision(name) && !isWhole ? this.pauses.find(message) : undefined;
    if (!token) return this.retryUnsigned(pause, message?.by);
    const verdict = await authority.assessDecision({
      run: this.identity,
      seal: subject.planned.seal,
      digest: subject.planned.plan.digest,
      accepted: subject.approvals,
      decision: name,
      step: pause?.step,
      attempt: pause?.attempt,
      token: message?.token ?? '',
    });
    const { counted, by, note, assessment, isVoid } = verdict;
    const { stays } = token.claims;
    const text = counted && stays ? `${verdict.text} All is left as it stands.` : verdict.text;
    if (isVoid) subject.void = text;
    // Whoever finds a token that was proved, in the history say, cannot send it again and again.
    if (by !== undefined) this.seen.add(token.claims.jti);
    if (this.subject !== subject)
      return this.refuse(name, claimedBy(token), 'The plan has changed meanwhile.');
    subject.assessment = assessment ?? subject.assessment;
    if (!counted || by === undefined) return this.refuse(name, by ?? claimedBy(token), text);
    if (isWhole) {
      if (this.stop.problem !== undefined) return this.refuse(name, by, this.stop.problem);
      this.stop.stop({ by, note, at: this.pauses.steps, token: message?.token ?? '' });
    } else if (isStepDecision(name)) {
      if (!pause || !this.pauses.isOpen(pause))
        return this.refuse(name, by, 'The step goes on already.');
      this.pauses.answer(pause, { decision: name, by, note, stays, token: message?.token });
    } else if (name === 'reject') subject.rejection = text;
    else subject.approvals.push(message?.token ?? '');
    this.record({ decision: name, by, at: now(), counted, text, note });
    return { counted, text };
  }

  /** A retry does again what was approved, so nobody needs to prove anything for it. */
  private retryUnsigned(pause: Pause | undefined, claimed: unknown): DecisionAnswer {
    const by = `${typeof claimed === 'string' ? quoted(claimed) : 'somebody'} (not proved)`;
    if (!pause) return this.refuse('retry', by, 'The step goes on already.');
    this.pauses.answer(pause, { decision: 'retry', by });
    const text = `Trying step "${pause.step}" again.`;
    this.record({ decision: 'retry', by, at: now(), counted: true, text });
    return { counted: true, text };
  }

  /** Why a decision cannot count, as far as that can be told without keys and roles. */
  private plainProblem(
    message: unknown,
    token: ReadToken | undefined,
    name: DecisionName | undefined,
  ): string | undefined {
    if (this.closed !== undefined) return this.closed;
    if (!name || !this.subject) return `A decision is one of ${decisionNames.join(', ')}.`;
    const said = message as DecisionMessage | undefined;
    if (isAboutWholeRun(name, said)) {
      if (this.stop.problem !== undefined) return this.stop.problem;
    } else if (isStepDecision(name)) {
      const problem = this.pauses.problemOf(name, said, token?.claims.stays === true);
      if (problem !== undefined || this.pauses.mayBeUnsigned(name, said)) return problem;
    } else if (this.settled !== undefined) return this.settled;
    if (!token) return `"${name}" needs a signed token, as rollback approve and reject make it.`;
    const { digest } = this.subject.planned.plan;
    const aud = audienceOf(workflowInfo().namespace, this.identity.workflowId);
    const { step, attempt } = (isStepDecision(name) ? said : undefined) ?? {};
    const subject = { aud, run: this.identity.firstRunId, digest, step, attempt };
    const seconds = Math.floor(Date.now() / 1000);
    const problem =
      decisionProblem(token.claims, name, subject, seconds) ??
      tooLateToArrive(token.claims, seconds);
    if (problem) return problem;
    if (this.seen.has(token.claims.jti)) return 'This very token was looked at before.';
    return this.subject.rejection === undefined ? undefined : 'The plan was rejected before.';
  }

  private refuse(decision: string, by: string, text: string): DecisionAnswer {
    this.flood.refused += 1;
    if (this.refused <= recordedRefusals) {
      this.record({ decision, by, at: now(), counted: false, text });
    }
    this.changed(this);
    return { counted: false, text };
  }

  private record(record: DecisionRecord): void {
    this.records.push(record);
    log.info(`Decision ${record.decision} by ${record.by}: ${record.text}`, {
      counted: record.counted,
    });
    this.changed(this);
  }
}

function notCounted(text: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(text, 'NotCounted');
}

function now(): string {
  return new Date().toISOString();
}
