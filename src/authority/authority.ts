/**
 * What a worker knows of authority: it seals the plans that it makes, tells whose decisions count,
 * and lets a change pass only with all that the rules ask for.
 */
import { ApplicationFailure, type Client } from '@temporalio/client';
import type { Assessment, SealClaims, StartAuthority } from '../contract/authority.ts';
import {
  audienceOf,
  decisionProblem,
  tokenLimits,
  tokenTypes,
  tooLateToArrive,
  type DecisionClaims,
  type DecisionName,
} from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import { failureTypes } from '../contract/failures.ts';
import type { CommonInput } from '../contract/input.ts';
import {
  targetName,
  type Mandate,
  type Plan,
  type Planned,
  type RunIdentity,
} from '../contract/plan.ts';
import { assess, whyNotStandIn, type Approval } from './assess.ts';
import { originOf } from './origin.ts';
import type { SigningKey } from './private-key.ts';
import type { Regions } from './regions.ts';
import { TokenError, type Person, type Register, type RegisterSource } from './register.ts';
import { needsOf } from './rules.ts';
import { authorityOfStart } from './start.ts';

/** Ids of the execution that an activity runs for, as the server gives them. */
export interface Execution {
  workflowId: string;
  runId: string;
}

/** What the run asks when a decision has arrived. */
export interface DecisionRequest {
  run: RunIdentity;
  seal: string;
  digest: string;
  /** Approvals that counted before. */
  accepted: string[];
  decision: DecisionName;
  token: string;
}

/** Whether a decision counts, and where the plan stands with it. */
export interface DecisionVerdict {
  counted: boolean;
  text: string;
  by: string;
  note?: string;
  assessment: Assessment;
}

export interface AuthorityParts {
  source: RegisterSource;
  key: SigningKey;
  client: Client;
  namespace: string;
  regions: Regions;
  /** Whether the error rate of all the plan's services is above a limit from 0 to 1. */
  measureErrorRate: (plan: Plan, limit: number) => Promise<{ above: boolean; text: string }>;
}

export class Authority {
  private readonly parts: AuthorityParts;

  constructor(parts: AuthorityParts) {
    this.parts = parts;
  }

  /**
   * Adds to a plan whose approval it needs, and seals it as made by this worker.
   * @param earlier digest of the plan that it replaces
   */
  async seal(
    execution: Execution,
    rawInput: unknown,
    input: CommonInput,
    planned: Plan,
    earlier: string | undefined,
  ): Promise<Omit<Planned<unknown>, 'input'>> {
    const { source, key, client, namespace, measureErrorRate } = this.parts;
    const register = source.current();
    const [origin, regions] = await Promise.all([
      originOf(client, execution.workflowId, execution.runId),
      this.parts.regions.of(planned.targets),
    ]);
    const aud = audienceOf(namespace, execution.workflowId);
    const found = await authorityOfStart(register, { ...origin, aud, input: rawInput }, input, () =>
      measureErrorRate(planned, register.settings.automaticAbove),
    );
    // Whoever started the run has not seen a plan that replaces the first one.
    const isAnother = earlier !== undefined && earlier !== planned.digest;
    const start: StartAuthority =
      isAnother && found.kind === 'signed' ? { kind: 'replanned', by: found.by } : found;
    const scope = {
      changes: planned.changes.map(({ kind, target }) => ({ kind, target: targetName(target) })),
      regions,
    };
    const plan = { ...planned, needs: needsOf(scope, register.settings) };
    const iat = nowSeconds();
    const claims: SealClaims = {
      ...{ aud, run: origin.firstRunId, digest: plan.digest, plan: hashOf(plan) },
      ...{ scope, start, iat, executeBy: iat + tokenLimits.executed },
    };
    const { approvalTimeout, contacts, remindAfter } = register.settings;
    const starter = starterOf(claims, register, false);
    const { counted: _, ...assessment } = assess(claims, starter, [], register.settings);
    return {
      ...{ plan, start, assessment, keys: register.knownKeys },
      seal: await key.sign(tokenTypes.seal, claims),
      wait: {
        approvalTimeoutMs: approvalTimeout,
        reminders: reminders(assessment.missingRoles, contacts, remindAfter),
      },
    };
  }

  /** Tells whether a decision that has arrived counts. */
  async assessDecision(execution: Execution, request: DecisionRequest): Promise<DecisionVerdict> {
    const register = this.parts.source.current();
    const { settings } = register;
    const { run, digest } = request;
    const subject = { ...(await this.subjectOf(execution, run.firstRunId)), digest };
    const seal = await register.verifySeal<SealClaims>(request.seal);
    const starter = starterOf(seal, register, false);
    const earlier = await this.approvals(register, request.accepted, subject, false);
    const { counted: _, ...before } = assess(seal, starter, earlier.approvals, settings);
    const refuse = (text: string, by = claimedBy(request.token)): DecisionVerdict => ({
      ...{ counted: false, text, by, assessment: before },
    });
    let arrived: Approval & { note?: string };
    try {
      arrived = await this.verify(register, request.token, request.decision, subject, 'arrival');
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      return refuse(error.message);
    }
    const { name, roles, note } = arrived;
    if (request.decision === 'reject') {
      if (roles.length === 0) return refuse(`${name} has no role that may decide.`, name);
      const text = `${name} rejected it${note ? `: ${note}` : ''}.`;
      return { counted: true, text, by: name, note, assessment: before };
    }
    if (
      earlier.approvals.some((one) => one.name === name && one.breakGlass === arrived.breakGlass)
    ) {
      return refuse(`${name} has approved already, and a person counts once.`, name);
    }
    const together = [...earlier.approvals, arrived];
    const { counted, ...after } = assess(seal, starter, together, settings);
    if (!counted.includes(name)) {
      const context = { seal, requester: after.requester, settings };
      return refuse(whyNotCounted(arrived, before, context), name);
    }
    const text = after.granted
      ? `${name} approved; nothing is missing any more.`
      : `${name} approved; still missing: ${after.missing}.`;
    return { counted: true, text, by: name, note, assessment: after };
  }

  /**
   * Lets a change pass, or not: seal, start, approvals and rules as they stand now. An undo is never
   * refused for time.
   * @throws NotAuthorized with what is missing; nothing was changed.
   */
  async authorize(execution: Execution, mandate: Mandate): Promise<void> {
    const { undo, plan, run, authority, change } = mandate;
    const register = this.parts.source.current();
    const subject = { ...(await this.subjectOf(execution, run.firstRunId)), digest: plan.digest };
    const seal = await register.verifySeal<SealClaims>(authority.seal).catch(refuseToken);
    if (
      seal.aud !== subject.aud ||
      seal.run !== subject.run ||
      seal.digest !== subject.digest ||
      run.firstRunId !== subject.run
    ) {
      throw notAuthorized('The seal is of another run or another plan: nothing was changed.');
    }
    if (!undo && nowSeconds() > seal.executeBy) {
      throw notAuthorized('The plan was made too long ago to begin with it now: start again.');
    }
    if (!undo) {
      await this.parts.regions.mark(change.target);
      const regions = await this.parts.regions.of(plan.targets);
      seal.scope.regions = [...new Set([...seal.scope.regions, ...regions])].sort();
    }
    const starter = starterOf(seal, register, undo);
    const { approvals, problems } = await this.approvals(
      register,
      authority.approvals,
      subject,
      undo,
    );
    const { granted, missing } = assess(seal, starter, approvals, register.settings);
    if (granted) return;
    throw notAuthorized(
      [`Nothing was changed, because approval is missing: ${missing}.`, ...problems].join(' '),
    );
  }

  /**
   * What decisions about the run of an execution must be about, but for the digest.
   * @param firstRunId as workflow code says it; it is believed only where it is the execution's own
   */
  private async subjectOf(
    { workflowId, runId }: Execution,
    firstRunId: string,
  ): Promise<{ aud: string; run: string }> {
    const { client, namespace } = this.parts;
    const aud = audienceOf(namespace, workflowId);
    // Of a reset run only the server knows which was the first.
    if (firstRunId === runId) return { aud, run: runId };
    return { aud, run: (await originOf(client, workflowId, runId)).firstRunId };
  }

  private async approvals(
    register: Register,
    tokens: readonly string[],
    subject: { aud: string; run: string; digest: string },
    undo: boolean,
  ): Promise<{ approvals: Approval[]; problems: string[] }> {
    const approvals: Approval[] = [];
    const problems: string[] = [];
    for (const token of tokens) {
      try {
        const when = undo ? 'undo' : 'effect';
        approvals.push(await this.verify(register, token, 'approve', subject, when));
      } catch (error) {
        if (!(error instanceof TokenError)) throw error;
        problems.push(error.message);
      }
    }
    return { approvals, problems };
  }

  /** @throws {TokenError} where the token does not prove such a decision. */
  private async verify(
    register: Register,
    token: string,
    decision: DecisionName,
    subject: { aud: string; run: string; digest: string },
    when: 'arrival' | 'effect' | 'undo',
  ): Promise<Approval & { note?: string }> {
    const { claims, kid } = await register.verify<DecisionClaims>(token, tokenTypes.decision);
    const now = nowSeconds();
    const problem =
      decisionProblem(claims, decision, subject, now) ??
      (when === 'arrival' ? tooLateToArrive(claims, now) : undefined) ??
      (when === 'effect' && now > claims.executeBy
        ? `The approval of ${claims.sub} was to be carried out by ${new Date(claims.executeBy * 1000).toISOString()}.`
        : undefined);
    if (problem) throw new TokenError(problem);
    // A key that was good when it approved a change is good enough for taking that change back.
    const person = register.ownerOf(kid, when === 'undo' ? claims.iat * 1000 : Date.now());
    const breakGlass = claims.breakGlass ? claims.note : undefined;
    return { ...person, at: claims.iat, breakGlass, note: claims.note };
  }
}

/** The person whose signature started the run, where their key and name still count. */
function starterOf({ start, iat }: SealClaims, register: Register, undo: boolean) {
  if (start.kind !== 'signed') return undefined;
  try {
    const person: Person = register.ownerOf(start.kid, undo ? iat * 1000 : Date.now());
    return person.name === start.by ? person : undefined;
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}

/** Whom the wait tells: those who are missing at once, then the contacts after them as well. */
function reminders(missing: string[], contacts: string[], after: number[]) {
  const next = contacts.findIndex((role) => missing.includes(role)) + 1;
  return [0, ...after].map((afterMs, index) => {
    const further = contacts.slice(next, next + index);
    return { afterMs, roles: [...new Set([...missing, ...further])] };
  });
}

function whyNotCounted(
  person: Approval,
  before: Assessment,
  context: Parameters<typeof whyNotStandIn>[1],
): string {
  const { name, roles, breakGlass } = person;
  if (before.granted) return 'Nothing is missing any more.';
  if (breakGlass !== undefined) {
    return `${name} cannot stand in: ${whyNotStandIn(person, context)}.`;
  }
  if (name === before.requester) {
    return `${name} asked for this run, so somebody else must approve it: ${before.missing}.`;
  }
  const role = roles.length > 0 ? `the role ${roles.join(', ')}` : 'no role';
  return `${name} has ${role}; missing: ${before.missing}.`;
}

/** Whom a token claims to be from; for records of what did not count. */
function claimedBy(token: string): string {
  try {
    const [, payload = ''] = token.split('.');
    const { sub } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub?: unknown };
    return typeof sub === 'string' ? `${sub.slice(0, 100)} (not proved)` : 'unknown';
  } catch {
    return 'unknown';
  }
}

function refuseToken(error: unknown): never {
  throw error instanceof TokenError
    ? notAuthorized(`${error.message} Nothing was changed.`)
    : error;
}

function notAuthorized(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.notAuthorized);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
