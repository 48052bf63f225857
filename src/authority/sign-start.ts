/** Signatures of starts, without what a worker needs to check them: the CLI loads this at every start. */
import { audienceOf, tokenTypes, type StartClaims } from '../contract/decision.ts';
import { hashOf } from '../contract/digest.ts';
import type { SigningKey } from './private-key.ts';

/** Signs the start of a run with this input, as the CLI does with the caller's key. */
export function signStart(
  key: SigningKey,
  run: { namespace: string; workflowId: string; workflowType: string; input: unknown },
): Promise<string> {
  const claims: Omit<StartClaims, 'jti'> = {
    sub: key.sub,
    aud: audienceOf(run.namespace, run.workflowId),
    input: inputHash(run.workflowType, run.input),
    iat: Math.floor(Date.now() / 1000),
  };
  return key.sign(tokenTypes.start, claims);
}

/** What a start signature is bound to, besides the run's name. */
export function inputHash(type: string, input: unknown): string {
  return hashOf({ type, input: input ?? null });
}
