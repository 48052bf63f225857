import type { Assessment } from '../contract/authority.ts';
import { isStepDecision, type DecisionName } from '../contract/decision.ts';
import type { RunIdentity } from '../contract/plan.ts';
import { assess, whyNotStandIn, type Approval } from './assess.ts';
import type { AuthorityParts, Execution } from './parts.ts';
import { TokenError } from './register.ts';
import { decidingRoles } from './rules.ts';
import { starterOf, subjectOf, verifyApprovals, verifyDecision } from './verify.ts';

/** What the run asks when a decision has arrived. */
export interface DecisionRequest {
  run: RunIdentity;
  seal: string;
  digest: string;
  /** Approvals that counted before. */
  accepted: string[];
  decision: DecisionName;
  /** The step that the run is paused at, for a decision about it. */
  step?: string;
  attempt?: number;
  token: string;
}

/** Whether a decision counts, and where the plan stands with it. */
export interface DecisionVerdict {
  counted: boolean;
  text: string;
  /** Who signed; undefined where that is not proved. */
  by?: string;
  note?: string;
  /** Whether the plan is void, so that the run must make another before anybody can decide. */
  isVoid?: boolean;
  /** Undefined where the decision changes nothing about it. */
  assessment?: Assessment;
}

/** Tells whether a decision that has arrived counts, with keys, roles and rules as they are now. */
export async function assessDecision(
  parts: AuthorityParts,
  execution: Execution,
  request: DecisionRequest,
): Promise<DecisionVerdict> {
  try {
    return await verdictOn(parts, execution, request);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return { counted: false, text: error.message };
  }
}

/** @throws {TokenError} where seal or token prove nothing. */
async function verdictOn(
  parts: AuthorityParts,
  execution: Execution,
  { run, seal: sealToken, digest, accepted, decision, step, attempt, token }: DecisionRequest,
): Promise<DecisionVerdict> {
  const register = parts.source.current();
  const { settings } = register;
  const subject = await subjectOf(parts, execution, run.firstRunId, digest);
  const seal = await register.verifySeal(sealToken);
  const { iat } = seal;
  const others = decision === 'approve' ? accepted : [];
  const earlier = await verifyApprovals(register, others, subject, 'effect', iat);
  const about = { ...subject, step, attempt, resumedAt: earlier.resumedAt };
  const arrived = await verifyDecision(register, token, decision, about, 'arrival', iat);
  const { name: by, roles, note, breakGlass } = arrived;
  const no = (text: string): DecisionVerdict => ({ counted: false, text, by });
  if (!isStepDecision(decision) && seal.execution !== execution.runId) {
    const text = 'The run was reset after this plan was made; it makes another: look at that one.';
    return { ...no(text), isVoid: true };
  }
  if (isStepDecision(decision)) {
    const deciding = decidingRoles(seal.scope, settings);
    if (!roles.some((role) => deciding.includes(role))) {
      return no(`${by} has none of the roles that decide about this run: ${deciding.join(', ')}.`);
    }
    const said = `${by} decided: ${decision} ${step === undefined ? 'the run' : `step "${step}"`}${note ? `: ${note}` : ''}.`;
    return { counted: true, text: said, by, note };
  }
  if (decision === 'reject') {
    if (roles.length === 0) return no(`${by} has no role that may decide.`);
    return { counted: true, text: `${by} rejected it${note ? `: ${note}` : ''}.`, by, note };
  }
  const isGlass = breakGlass !== undefined;
  const known = earlier.approvals.filter(({ name }) => name === by);
  if (known.some((one) => (one.breakGlass !== undefined) === isGlass)) {
    return no(`${by} has approved already, and a person counts once.`);
  }
  const starter = starterOf(seal, register, false);
  const { assessment: before, counted: had } = assess(seal, starter, earlier.approvals, settings);
  // Keys, roles or rules may have changed since the last decision, so that the run need not wait.
  if (before.granted) return { ...no('Nothing is missing any more.'), assessment: before };
  const together = [...earlier.approvals, arrived];
  const { assessment, counted, standing } = assess(seal, starter, together, settings);
  // Who stood somewhere already adds nothing by break-glass that stands in for nobody.
  const isNew = isGlass && had.includes(by) ? standing.includes(by) : counted.includes(by);
  if (!isNew) {
    const context = { seal, requester: assessment.requester, settings };
    return no(whyNotCounted(arrived, before, context));
  }
  const then = assessment.granted
    ? 'nothing is missing any more'
    : `still missing: ${assessment.missing}`;
  const approved = arrived.resumes
    ? 'approved, saying that the run was only interrupted: what others had approved counts again'
    : 'approved';
  const did = standing.includes(by) ? 'stands in by break-glass' : approved;
  return { counted: true, text: `${by} ${did}; ${then}.`, by, note, assessment };
}

function whyNotCounted(
  person: Approval,
  before: Assessment,
  context: Parameters<typeof whyNotStandIn>[1],
): string {
  const { name, roles, breakGlass } = person;
  if (breakGlass !== undefined) {
    const why = whyNotStandIn(person, context) ?? 'break-glass is not for what is missing';
    return `${name} cannot stand in: ${why}: ${before.missing}.`;
  }
  if (name === before.requester) {
    return `${name} asked for this run, so somebody else must approve it: ${before.missing}.`;
  }
  const role = roles.length > 0 ? `the role ${roles.join(', ')}` : 'no role';
  return `${name} has ${role}; missing: ${before.missing}.`;
}
