/** Who started a run, and whether they may. */
import type { StartAuthority } from '../contract/authority.ts';
import { quoted, tokenLimits, tokenTypes, type StartClaims } from '../contract/decision.ts';
import type { CommonInput } from '../contract/input.ts';
import type { Origin } from './origin.ts';
import { TokenError, type Register } from './register.ts';
import { inputHash } from './sign-start.ts';

/**
 * How the start of a run is authorized. A signature that proves nothing makes the start unsigned,
 * with the reason: then somebody who may start it confirms.
 * @param measure what an automatic start rests on, measured now
 */
export async function authorityOfStart(
  register: Register,
  run: Origin & { aud: string; input: unknown },
  input: CommonInput,
  measure: () => Promise<{ above: boolean; text: string }>,
): Promise<StartAuthority> {
  let why = 'started unsigned';
  if (run.startToken !== undefined) {
    try {
      return { kind: 'signed', ...(await verifyStart(register, run)) };
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      why = `started with a signature that proves nothing. ${error.message}`;
    }
  } else if (input.trigger === 'automatic') {
    const { above, text } = await measure();
    if (above) return { kind: 'automatic', text };
    why = `started automatically, which it may not be: ${text}`;
  }
  return register.settings.unsignedStart === 'allow'
    ? { kind: 'trusted', text: input.requestedBy ?? 'somebody whom the Temporal server let in' }
    : { kind: 'unsigned', why };
}

async function verifyStart(
  register: Register,
  { startToken, startedAt, aud, input, workflowType }: Origin & { aud: string; input: unknown },
): Promise<{ by: string; kid: string }> {
  const { claims, kid } = await register.verify<StartClaims>(String(startToken), tokenTypes.start);
  const { name } = register.ownerOf(kid, Date.now());
  if (claims.aud !== aud) throw new TokenError(`It is for run ${quoted(claims.aud)}.`);
  if (claims.input !== inputHash(workflowType, input)) {
    throw new TokenError('It is for another input or another procedure.');
  }
  if (!Number.isSafeInteger(claims.iat))
    throw new TokenError('It does not say when it was signed.');
  if (Date.now() / 1000 > claims.iat + tokenLimits.accepted) {
    throw new TokenError('It was signed more than an hour ago, and the world has moved on.');
  }
  // A signature that was seen once must not start a later run with the same id.
  const apart = Math.abs(claims.iat - startedAt.getTime() / 1000);
  if (apart > tokenLimits.skew) {
    throw new TokenError(`It was signed ${Math.round(apart)} s away from the run's start.`);
  }
  return { by: name, kid };
}
