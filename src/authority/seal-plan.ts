import type { SealClaims, StartAuthority } from '../contract/authority.ts';
import { audienceOf, tokenLimits, tokenTypes } from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import type { CommonInput } from '../contract/input.ts';
import type { Plan, Planned } from '../contract/plan.ts';
import { assess } from './assess.ts';
import { originOf } from './origin.ts';
import { othersWaiting } from './others-waiting.ts';
import { nowSeconds, type AuthorityParts, type Execution } from './parts.ts';
import { needsOf, scopeOf } from './rules.ts';
import { authorityOfStart } from './start.ts';
import { starterOf } from './verify.ts';

/** What was measured for an automatic start holds for this long. */
const automaticSeconds = 15 * 60;

export interface PlanToSeal {
  /** The input as the run was started with it, and with its defaults. */
  rawInput: unknown;
  input: CommonInput;
  plan: Plan;
  /** Digest of the plan that this one replaces. */
  earlier: string | undefined;
}

/**
 * Adds to a plan whose approval it needs, and seals it as made by this worker for this run. A dry
 * run gets no seal, so that nothing of it can be carried out.
 */
export async function sealPlan(
  { source, key, client, namespace, measureErrorRate, regions }: AuthorityParts,
  execution: Execution,
  { rawInput, input, plan: made, earlier }: PlanToSeal,
): Promise<Omit<Planned<unknown>, 'input'>> {
  const register = source.current();
  const { settings } = register;
  const [origin, touched] = await Promise.all([
    originOf(client, execution),
    regions.of(made.changes.map(({ target }) => target)),
  ]);
  const aud = audienceOf(namespace, execution.workflowId);
  const found = await authorityOfStart(register, { ...origin, aud, input: rawInput }, input, () =>
    measureErrorRate(made, settings.automaticAbove),
  );
  // Whoever started the run has not seen a plan that replaces the first one, nor one that is made
  // after a reset, be it weeks later.
  const isReset = execution.runId !== origin.firstRunId;
  const isAnother = isReset || (earlier !== undefined && earlier !== made.digest);
  const start: StartAuthority =
    isAnother && found.kind === 'signed' ? { kind: 'replanned', by: found.by } : found;
  const scope = scopeOf(made, touched);
  const needs = needsOf(scope, settings);
  // The parts of a plan for regions are joined to one, which asks.
  const isPart = made.regions === undefined && made.targets.some(({ region }) => region);
  const asksPeople = !isPart && (needs.length > 0 || start.kind === 'unsigned');
  const others = asksPeople ? await othersWaiting(client, made.targets, execution.workflowId) : [];
  const plan = { ...made, needs, warnings: [...others, ...made.warnings] };
  const iat = nowSeconds();
  // What people have approved holds as long as they say.
  const isMeasured = start.kind === 'automatic' && plan.needs.length === 0;
  const executeBy = iat + (isMeasured ? automaticSeconds : tokenLimits.executed);
  const claims: SealClaims = {
    ...{ aud, run: origin.firstRunId, digest: plan.digest, plan: hashOf(plan) },
    ...{ execution: execution.runId, checks: plan.checks, scope, start, iat, executeBy },
  };
  const assessment = assess(claims, starterOf(claims, register, false), [], settings).assessment;
  return {
    ...{ plan, start, assessment, execution: execution.runId, keys: register.knownKeys },
    seal: input.dryRun ? '' : await key.sign(tokenTypes.seal, claims),
    wait: {
      approvalTimeoutMs: settings.approvalTimeout,
      remindAfterMs: settings.remindAfter,
      decisionTimeoutMs: settings.decisionTimeout,
      furtherContacts: settings.contacts.length - 1,
      workerMissingAfterMs: settings.retriesToldAfter,
    },
  };
}
