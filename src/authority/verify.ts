/** From tokens to who approved what, or why they prove nothing. */
import type { SealClaims } from '../contract/authority.ts';
import {
  audienceOf,
  decisionProblem,
  tokenLimits,
  tokenTypes,
  tooLateToArrive,
  type DecisionClaims,
  type DecisionName,
  type DecisionSubject,
} from '../contract/decision.ts';
import type { Approval } from './assess.ts';
import { originOf } from './origin.ts';
import { nowSeconds, type AuthorityParts, type Execution } from './parts.ts';
import { TokenError, type Person, type Register } from './register.ts';

/** What decisions about a run must be about to count. */
export interface Subject extends DecisionSubject {
  /** Seconds since 1970 before which none counts, unless it is kept: the run was reset then. */
  notBefore: number;
  /** When somebody who may has said that approvals from before the reset are kept, in seconds. */
  resumedAt?: number;
}

/**
 * When a decision is looked at: as it comes; before an effect; before a further effect of a run that
 * has begun, for which no time is over; or before an effect is taken back, for which it is enough
 * that the key was good then.
 */
export type Moment = 'arrival' | 'effect' | 'begun' | 'undo';

/**
 * What decisions about an execution must be about.
 * @param firstRunId as workflow code says it; it is believed only where it is the execution's own
 */
export async function subjectOf(
  { client, namespace }: Pick<AuthorityParts, 'client' | 'namespace'>,
  execution: Execution,
  firstRunId: string,
  digest: string,
): Promise<Subject> {
  const aud = audienceOf(namespace, execution.workflowId);
  // Of a reset run only the server knows which was the first.
  if (firstRunId === execution.runId) return { aud, run: firstRunId, digest, notBefore: 0 };
  const origin = await originOf(client, execution);
  // What was decided before a reset may have been decided otherwise since, in what it cut off.
  const notBefore = origin.executionStartedAt.getTime() / 1000;
  return { aud, run: origin.firstRunId, digest, notBefore };
}

/** A decision that is proved. */
export interface ProvedDecision extends Approval {
  note?: string;
}

/**
 * @param sealedAt when the plan was sealed, in seconds
 * @throws {TokenError} where the token does not prove such a decision.
 */
export async function verifyDecision(
  register: Register,
  token: string,
  decision: DecisionName,
  subject: Subject,
  moment: Moment,
  sealedAt: number,
): Promise<ProvedDecision> {
  const { claims, kid } = await register.verify<DecisionClaims>(token, tokenTypes.decision);
  const now = nowSeconds();
  const problem = decisionProblem(claims, decision, subject, now) ?? problemOfTime(claims);
  if (problem) throw new TokenError(problem);
  // For taking a change back it is enough that the key was good when the change was approved; the
  // time of the plan is the worker's word for when that was.
  const at = moment === 'undo' ? Math.max(claims.iat, sealedAt) * 1000 : Date.now();
  const person = register.ownerOf(kid, at);
  const breakGlass = claims.breakGlass ? claims.note : undefined;
  const resumes = claims.resumes === true;
  // A clock that is ahead must not make anybody look silent for longer.
  return { ...person, at: Math.min(claims.iat, now), breakGlass, resumes, note: claims.note };

  function problemOfTime({ iat, exp, executeBy, sub }: DecisionClaims): string | undefined {
    if (moment === 'begun' || moment === 'undo') return undefined;
    if (iat < subject.notBefore) {
      const { resumedAt } = subject;
      if (resumedAt === undefined) return `${sub} decided before the run was reset.`;
      if (resumedAt > exp + tokenLimits.skew) {
        return `The approval of ${sub} had expired when the run was resumed.`;
      }
    }
    if (moment === 'arrival') return tooLateToArrive(claims, now);
    if (now <= executeBy) return undefined;
    const until = new Date(executeBy * 1000).toISOString();
    return `The approval of ${sub} was to be carried out by ${until}.`;
  }
}

/**
 * Everybody whose approval counts among these tokens, and what is wrong with the others. Where
 * somebody who may start the run resumes it, those from before its reset that had not expired then
 * count as well.
 */
export async function verifyApprovals(
  register: Register,
  tokens: readonly string[],
  subject: Subject,
  moment: Moment,
  sealedAt: number,
): Promise<{ approvals: Approval[]; problems: string[]; resumedAt?: number }> {
  const found = await approvalsAmong(subject);
  const { startedBy } = register.settings;
  const resuming = found.approvals.find(
    ({ resumes, roles }) => resumes && roles.some((role) => startedBy.includes(role)),
  );
  if (!resuming) return found;
  const resumedAt = resuming.at;
  return { ...(await approvalsAmong({ ...subject, resumedAt })), resumedAt };

  async function approvalsAmong(about: Subject) {
    const approvals: ProvedDecision[] = [];
    const problems: string[] = [];
    for (const token of tokens) {
      try {
        approvals.push(await verifyDecision(register, token, 'approve', about, moment, sealedAt));
      } catch (error) {
        if (!(error instanceof TokenError)) throw error;
        problems.push(error.message);
      }
    }
    return { approvals, problems };
  }
}

/** The person whose signature started the run, where their key and name still count. */
export function starterOf(
  { start, iat }: SealClaims,
  register: Register,
  undo: boolean,
): Person | undefined {
  if (start.kind !== 'signed') return undefined;
  try {
    const person = register.ownerOf(start.kid, undo ? iat * 1000 : Date.now());
    return person.name === start.by ? person : undefined;
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}
