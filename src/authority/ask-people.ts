import { quoted } from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import type { Notice } from '../contract/notice.ts';
import type { Authorization, Plan, RunIdentity } from '../contract/plan.ts';
import { shellWord } from '../contract/printable.ts';
import { assess } from './assess.ts';
import type { AuthorityParts, Execution } from './parts.ts';
import { TokenError } from './register.ts';
import { starterOf, subjectOf, verifyApprovals } from './verify.ts';

/** What a run asks to be told; the words are made here, from what a worker has sealed. */
export interface Asking {
  run: RunIdentity;
  plan: Plan;
  authority: Authorization;
  /** How often those who are missing were told before. */
  reminder: number;
  /** The step that the run is paused at; undefined where it waits for approvals. */
  paused?: { step: string; error: string };
}

/**
 * What people are to be told about a plan: that it waits for them, or that somebody stood in for
 * them. Undefined where there is nothing to say.
 * @throws {TokenError} where no worker made this plan for this run: nobody speaks in our name.
 */
export async function noticeOf(
  parts: AuthorityParts,
  execution: Execution,
  { run, plan, authority, reminder, paused }: Asking,
): Promise<Notice | undefined> {
  const register = parts.source.current();
  const { settings } = register;
  const seal = await register.verifySeal(authority.seal);
  const subject = await subjectOf(parts, execution, run.firstRunId, plan.digest);
  if (seal.plan !== hashOf(plan) || seal.aud !== subject.aud || seal.run !== subject.run) {
    throw new TokenError('The seal is of another run or another plan.');
  }
  const { workflowId } = execution;
  if (paused) {
    const roles = settings.contacts.slice(0, 1 + reminder);
    const at = `Paused at step ${quoted(paused.step)}: ${quoted(paused.error, 500)}.`;
    const text = `${plan.summary} ${at} Decide: rollback retry, skip or abort ${shellWord(workflowId)}`;
    return { workflowId, urgent: true, roles, text };
  }
  const tokens = authority.approvals;
  const { approvals } = await verifyApprovals(register, tokens, subject, 'effect', seal.iat);
  const starter = starterOf(seal, register, false);
  const { assessment } = assess(seal, starter, approvals, settings);
  if (assessment.breakGlass) {
    const stoodIn = assessment.needs.filter((need) => need.breakGlass);
    const who = stoodIn.map(({ by, roles }) => `${by.join(' and ')} for ${roles.join()}`);
    const why = approvals.flatMap(({ breakGlass }) => breakGlass ?? []);
    const text = `Break-glass in run ${workflowId}: ${who.join('; ')} (${why.join('; ')}). ${plan.summary}`;
    return { workflowId, urgent: true, roles: stoodIn.flatMap(({ roles }) => roles), text };
  }
  if (assessment.granted) return undefined;
  const { missing, missingRoles } = assessment;
  const first = settings.contacts.findIndex((role) => missingRoles.includes(role)) + 1;
  const further = settings.contacts.slice(first, first + reminder);
  const again = reminder > 0 ? 'Still waiting. ' : '';
  return {
    ...{ workflowId, urgent: true, roles: [...new Set([...missingRoles, ...further])] },
    text: `${again}${plan.summary} Missing: ${missing}. Look and decide: rollback approve ${shellWord(workflowId)}`,
  };
}
