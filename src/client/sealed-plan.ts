/** The plan that a decision is about: as a worker sealed it, whoever it comes from. */
import type { WorkflowHandle } from '@temporalio/client';
import { isLoopback } from '../authority/load.ts';
import { RegisterSource, TokenError } from '../authority/register.ts';
import { loadSettings, SettingsError, settingsFile } from '../config/settings.ts';
import type { StartAuthority } from '../contract/authority.ts';
import { hashOf, planDigest } from '../contract/digest.ts';
import type { Plan, Planned } from '../contract/plan.ts';
import { sealedPlanQuery, type SealedPlan } from '../contract/run.ts';
import { CliError, exitCodes, startWorker } from './errors.ts';
import { answerWithinMs, isUnanswered, type Temporal } from './temporal.ts';

/**
 * The run's plan with its seal: asked of the run, and where no worker answers, read from its
 * history, which needs none.
 * @throws {CliError} where it is not planned yet.
 */
export async function readSealedPlan(
  { client }: Temporal,
  handle: WorkflowHandle,
): Promise<SealedPlan> {
  const asked = await client
    .withDeadline(Date.now() + answerWithinMs, () =>
      handle.query<SealedPlan | undefined>(sealedPlanQuery),
    )
    .catch((error: unknown) => {
      if (isUnanswered(error)) return 'nobody answers';
      throw error;
    });
  const found = asked === 'nobody answers' ? await lastInHistory(handle) : asked;
  if (typeof found === 'object') return found;
  throw new CliError(
    asked === 'nobody answers'
      ? `Run ${handle.workflowId} has no plan yet and no worker answers for it: ${startWorker}.`
      : `Run ${handle.workflowId} has no plan yet: try again in a moment.`,
    exitCodes.unreachable,
  );
}

async function lastInHistory(handle: WorkflowHandle): Promise<SealedPlan | undefined> {
  const { events } = await handle.fetchHistory();
  const { payloadConverter } = handle.client.options.loadedDataConverter;
  for (const event of (events ?? []).toReversed()) {
    const payload = event.activityTaskCompletedEventAttributes?.result?.payloads?.[0];
    if (!payload) continue;
    const { plan, seal } = payloadConverter.fromPayload<Partial<Planned<unknown>>>(payload) ?? {};
    if (plan && seal) return { plan, seal };
  }
  return undefined;
}

/**
 * Makes sure that what is shown is what would be done: the digest is that of the plan's targets and
 * changes, and a worker sealed all of it for this run.
 * @returns how the run was started, as that worker found it
 * @throws {CliError} where the plan is not what it says, or where nobody here can tell.
 */
export async function checkSeal(
  { plan, seal }: SealedPlan,
  run: { aud: string; run: string },
  address: string,
): Promise<StartAuthority> {
  assertDigest(plan);
  try {
    const claims = await new RegisterSource(loadSettings(settingsFile()), isLoopback(address))
      .current()
      .verifySeal(seal);
    if (claims.plan === hashOf(plan) && claims.aud === run.aud && claims.run === run.run) {
      return claims.start;
    }
    throw new TokenError('The seal is of another plan or another run.');
  } catch (error) {
    if (error instanceof SettingsError) {
      throw new CliError(
        `Whether a worker of yours made this plan cannot be told here, so its words may be anybody's. ${error.message} To decide on the digest ${plan.digest.slice(0, 12)} alone, say --unchecked.`,
      );
    }
    if (!(error instanceof TokenError)) throw error;
    throw new CliError(`No worker of yours made this plan: do not approve it. ${error.message}`);
  }
}

/** @throws {CliError} where the plan's digest is not that of its targets and changes. */
export function assertDigest({ targets, changes, changeHashes, digest }: Plan): void {
  const hashes = changes.map((change) => hashOf(change));
  const isOwn = hashOf(hashes) === hashOf(changeHashes) && planDigest(targets, hashes) === digest;
  if (isOwn) return;
  throw new CliError('The plan does not have the digest that it shows: do not approve it.');
}
