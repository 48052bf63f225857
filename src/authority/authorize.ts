import { ApplicationFailure } from '@temporalio/client';
import type { Assessment } from '../contract/authority.ts';
import { failureTypes } from '../contract/failures.ts';
import type { Authorization, Mandate } from '../contract/plan.ts';
import { assess } from './assess.ts';
import { nowSeconds, type AuthorityParts, type Execution } from './parts.ts';
import { TokenError, type Register } from './register.ts';
import { starterOf, subjectOf, verifyApprovals, verifyDecision, type Subject } from './verify.ts';

/**
 * Lets a change pass, or not: seal, start, approvals and rules as they stand now. An undo is never
 * refused for time.
 * @throws NotAuthorized with what is missing; nothing was changed.
 */
export async function authorize(
  { source, regions, ...parts }: AuthorityParts,
  execution: Execution,
  { undo, plan, run, authority, change }: Mandate,
): Promise<void> {
  const register = source.current();
  const subject = await subjectOf(parts, execution, run.firstRunId, plan.digest);
  const seal = await register.verifySeal(authority.seal, undo).catch((error: unknown) => {
    throw error instanceof TokenError ? notAuthorized(error.message) : error;
  });
  const { aud, run: sealedRun, digest, iat } = seal;
  const isOwn = aud === subject.aud && sealedRun === subject.run && digest === subject.digest;
  if (!isOwn || run.firstRunId !== subject.run) {
    throw notAuthorized('The seal is of another run or another plan.');
  }
  if (!undo && nowSeconds() > seal.executeBy) {
    throw notAuthorized('The plan was made too long ago to begin with it now: start again.');
  }
  const starter = starterOf(seal, register, undo);
  const moment = undo ? 'undo' : 'effect';
  const found = await verifyApprovals(register, authority.approvals, subject, moment, iat);
  const assertGranted = () => {
    const { assessment } = assess(seal, starter, found.approvals, register.settings);
    if (!assessment.granted) throw missing(assessment, found.problems);
  };
  assertGranted();
  if (undo && authority.abort) await assertAborted(register, authority.abort, subject, iat);
  if (undo || (await regions.hasBegun(plan.targets, run))) return;
  const assertRegions = async () => {
    const touched = await regions.of(plan.targets);
    seal.scope.regions = [...new Set([...seal.scope.regions, ...touched])].sort();
    assertGranted();
  };
  // Only what may happen counts as a change of its region. Of two that begin at once in two regions,
  // each looks again after it was marked, so that at least one sees the other.
  await assertRegions();
  await regions.mark(change.target);
  await assertRegions();
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
  sealedAt: number,
): Promise<void> {
  try {
    const about = { ...subject, step, attempt };
    const { name, roles } = await verifyDecision(register, token, 'abort', about, 'undo', sealedAt);
    if (roles.length === 0) throw new TokenError(`${name} has no role that may decide.`);
  } catch (error) {
    throw error instanceof TokenError ? notAuthorized(error.message) : error;
  }
}
