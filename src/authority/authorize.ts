import { ApplicationFailure } from '@temporalio/client';
import type { Assessment, SealClaims } from '../contract/authority.ts';
import { quoted } from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import { failureTypes } from '../contract/failures.ts';
import type { Authorization, Mandate, PlannedCheck } from '../contract/plan.ts';
import { assess } from './assess.ts';
import { hasBegun } from './has-begun.ts';
import { nowSeconds, type AuthorityParts, type Execution } from './parts.ts';
import { TokenError, type Register } from './register.ts';
import { decidingRoles } from './rules.ts';
import { starterOf, subjectOf, verifyApprovals, verifyDecision, type Subject } from './verify.ts';

/**
 * Lets a change pass, or not: seal, start, approvals and rules as they stand now. What has begun must
 * not stop halfway because a day has passed or another region has begun as well, and may be undone
 * with keys that were good when it began.
 * @param check the check that is asked for, where it is one
 * @throws NotAuthorized with what is missing; nothing was changed.
 */
export async function authorize(
  parts: AuthorityParts,
  execution: Execution,
  mandate: Mandate,
  check: PlannedCheck | undefined,
): Promise<void> {
  const register = parts.source.current();
  const { undo, plan, run, authority, change } = mandate;
  const subject = await subjectOf(parts, execution, run.firstRunId, plan.digest);
  const seal = await register.verifySeal(authority.seal, true).catch(refuse);
  const { aud, run: sealedRun, digest, iat } = seal;
  const isOwn = aud === subject.aud && sealedRun === subject.run && digest === subject.digest;
  if (!isOwn || run.firstRunId !== subject.run) {
    throw notAuthorized('The seal is of another run or another plan.');
  }
  if (check && (undo || !seal.checks.some((sealed) => hashOf(sealed) === hashOf(check)))) {
    throw notAuthorized(
      `The plan has no check ${quoted(check.check)} of ${quoted(check.service)}.`,
    );
  }
  const assertGranted = async (moment: 'effect' | 'begun' | 'undo', regions: string[]) => {
    const scope = {
      ...seal.scope,
      regions: [...new Set([...seal.scope.regions, ...regions])].sort(),
    };
    const starter = starterOf(seal, register, moment === 'undo');
    const found = await verifyApprovals(register, authority.approvals, subject, moment, iat);
    const sealed = { ...seal, scope };
    const { assessment } = assess(sealed, starter, found.approvals, register.settings);
    if (!assessment.granted) throw missing(assessment, found.problems);
  };
  if (!undo) {
    try {
      return await assertMayBegin();
    } catch (error) {
      const isRefused = error instanceof ApplicationFailure;
      if (!isRefused || !(await hasBegun(parts, mandate))) throw error;
    }
  }
  await assertGranted(undo ? 'undo' : 'begun', []);
  if (undo && authority.abort) await assertAborted(register, authority.abort, subject, seal);

  async function assertMayBegin(): Promise<void> {
    await register.verifySeal(authority.seal).catch(refuse);
    if (seal.execution !== execution.runId) {
      throw notAuthorized('The plan was made before the run was reset.');
    }
    if (nowSeconds() > seal.executeBy) {
      throw notAuthorized('The plan was made too long ago to begin with it now.');
    }
    // Only what may happen counts as a change of its region. Of two that begin at once in two
    // regions, each looks again after it was marked, so that at least one sees the other.
    await assertGranted('effect', await parts.regions.of([change.target]));
    if (await parts.regions.mark(change.target)) {
      await assertGranted('effect', await parts.regions.of([change.target]));
    }
  }
}

function refuse(error: unknown): never {
  throw error instanceof TokenError ? notAuthorized(error.message) : error;
}

function missing(assessment: Assessment, problems: string[]): ApplicationFailure {
  return notAuthorized([`Approval is missing: ${assessment.missing}.`, ...problems].join(' '));
}

function notAuthorized(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `${message} Nothing was done about it.`,
    failureTypes.notAuthorized,
  );
}

/** An undo that is somebody's decision goes back to whatever stood there: that they said so is proved. */
async function assertAborted(
  register: Register,
  { token, step, attempt }: NonNullable<Authorization['abort']>,
  subject: Subject,
  { scope, iat }: SealClaims,
): Promise<void> {
  try {
    const about = { ...subject, step, attempt };
    const { name, roles } = await verifyDecision(register, token, 'abort', about, 'undo', iat);
    const deciding = decidingRoles(scope, register.settings);
    if (!roles.some((role) => deciding.includes(role))) {
      throw new TokenError(`${name} has none of the roles that decide about this run.`);
    }
  } catch (error) {
    refuse(error);
  }
}
