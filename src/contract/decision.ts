/**
 * What people decide about a run, and how they prove that it was them: compact JWS signed with
 * Ed25519. Anybody who may write to the Temporal namespace can send messages, so only the
 * signature says who decided, and its claims say about what.
 */

/** Everything that can be decided about a run; each is a signal of that name as well. */
export const decisionNames = ['approve', 'reject', 'retry', 'skip', 'abort'] as const;
export type DecisionName = (typeof decisionNames)[number];

/**
 * Decisions about a step at which a run is paused; they name step and attempt. An abort that names none
 * is about the run, whatever it is at.
 */
export const stepDecisionNames = ['retry', 'skip', 'abort'] as const;
export type StepDecisionName = (typeof stepDecisionNames)[number];

export function isStepDecision(name: DecisionName): name is StepDecisionName {
  return (stepDecisionNames as readonly string[]).includes(name);
}

/** Update that decides and answers; the signals of `decisionNames` take the same object. */
export const decideUpdateName = 'decide';

/** The one object of update and signals. A signal's `decision` is its name. */
export interface DecisionMessage {
  decision?: DecisionName;
  token?: string;
  step?: string;
  attempt?: number;
  by?: string;
  note?: string;
}

/** What the update answers: whether the decision counted, and in words what it did or why not. */
export interface DecisionAnswer {
  counted: boolean;
  text: string;
}

/** `typ` of the header, so that no token can pass for one of another purpose. */
export const tokenTypes = {
  start: 'rollback-start+jwt',
  decision: 'rollback-decision+jwt',
  /** What a worker found out itself, for other workers. */
  seal: 'rollback-seal+jwt',
} as const;
export type TokenType = (typeof tokenTypes)[keyof typeof tokenTypes];

/** Claims of a signed decision. Times are seconds since 1970. */
export interface DecisionClaims {
  /** Name of the person in the people file. */
  sub: string;
  /** Temporal namespace and workflow id: `default/rollback-deployment-...`. */
  aud: string;
  /** First run id of the execution: stays over resets, differs for a later run with the same id. */
  run: string;
  decision: DecisionName;
  digest: string;
  step?: string;
  attempt?: number;
  note?: string;
  /** Stands in for somebody of another role who does not answer. */
  breakGlass?: boolean;
  /** A skip while the run watches that ends it there, with all left as it stands. */
  stays?: boolean;
  /**
   * An approval by somebody who may start the run, after a reset: it was only interrupted, so that
   * what others had approved of this very plan before counts again.
   */
  resumes?: boolean;
  iat: number;
  /** The decision is accepted until then. */
  exp: number;
  /** Effects may begin until then. */
  executeBy: number;
  jti: string;
}

/** Claims of a signed start. There is no plan yet, so it is bound to the input. */
export interface StartClaims {
  sub: string;
  aud: string;
  /** SHA-256 over the canonical `{type, input}`. */
  input: string;
  iat: number;
  jti: string;
}

/** Limits of all tokens, in seconds. */
export const tokenLimits = {
  /** Clocks may differ by this much. */
  skew: 90,
  accepted: 60 * 60,
  executed: 24 * 60 * 60,
} as const;
/** A signed decision is under 2 KB; whatever is longer is none. */
export const maxTokenLength = 8192;
export const maxNoteLength = 1000;

/** What a decision must be about to count. */
export interface DecisionSubject {
  aud: string;
  run: string;
  digest: string;
  /** The step that the run is paused at, for a decision about it. */
  step?: string;
  attempt?: number;
}

/** `aud` of a run's tokens. */
export function audienceOf(namespace: string, workflowId: string): string {
  return `${namespace}/${workflowId}`;
}

/**
 * Why a decision with these claims cannot count for `subject`; undefined where it can. Looks at
 * everything but the signature, the person's roles, and when it must have arrived.
 */
export function decisionProblem(
  claims: DecisionClaims,
  decision: DecisionName,
  subject: DecisionSubject,
  nowSeconds: number,
): string | undefined {
  if (!isWellFormed(claims)) return 'The token lacks claims that a decision must have.';
  if (claims.aud !== subject.aud) {
    return `The token is for run ${quoted(claims.aud)}, not for ${subject.aud}.`;
  }
  if (claims.run !== subject.run) {
    return 'The token is for another run with the same workflow id.';
  }
  if (claims.decision !== decision) {
    return `The token says ${quoted(claims.decision)}, the message ${decision}.`;
  }
  if (claims.digest !== subject.digest) {
    return `The token is for plan ${quoted(claims.digest.slice(0, 12))}; the plan now is ${subject.digest.slice(0, 12)}: look at it and decide again.`;
  }
  if (claims.step !== subject.step || claims.attempt !== subject.attempt) {
    return `The token is about ${stepInWords(claims)}, not about ${stepInWords(subject)}.`;
  }
  if (claims.stays && decision !== 'skip') return 'Only a skip can leave all as it stands.';
  if (claims.breakGlass && !claims.note) return 'Break-glass needs a reason: say it with --note.';
  return timeProblem(claims, nowSeconds);
}

function stepInWords({ step, attempt }: { step?: string; attempt?: number }): string {
  return step === undefined ? 'the whole plan' : `attempt ${attempt} of step ${quoted(step)}`;
}

/** Something that nobody has proved, fit to be shown: short, and without control characters. */
export function quoted(text: unknown, most = 100): string {
  const shown = typeof text === 'string' ? text : typeof text;
  return JSON.stringify(shown.slice(0, most).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?'));
}

function isWellFormed(claims: DecisionClaims): boolean {
  const { sub, aud, run, digest, jti, iat, exp, executeBy, note, breakGlass, stays } = claims;
  return (
    [sub, aud, run, digest, jti].every((text) => typeof text === 'string' && text !== '') &&
    [iat, exp, executeBy].every((time) => Number.isSafeInteger(time)) &&
    (note === undefined || (typeof note === 'string' && note.length <= maxNoteLength)) &&
    [breakGlass, stays].every((flag) => flag === undefined || typeof flag === 'boolean')
  );
}

function timeProblem({ iat, exp, executeBy }: DecisionClaims, now: number): string | undefined {
  if (iat > now + tokenLimits.skew) {
    return `The token was signed ${iat - now} s in the future: set the clock of whoever signed it.`;
  }
  if (exp > iat + tokenLimits.accepted || executeBy > iat + tokenLimits.executed) {
    return `The token asks to be valid for too long: ${tokenLimits.accepted / 60} minutes to arrive and ${tokenLimits.executed / 3600} hours to be carried out are the most.`;
  }
  return undefined;
}

/** Why a decision comes too late to be accepted; undefined where it does not. */
export function tooLateToArrive({ exp }: DecisionClaims, nowSeconds: number): string | undefined {
  if (nowSeconds <= exp + tokenLimits.skew) return undefined;
  return `The token expired ${nowSeconds - exp} s ago: decide again.`;
}
