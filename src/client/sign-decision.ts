import type { SigningKey } from '../authority/private-key.ts';
import { tokenLimits, tokenTypes, type DecisionClaims } from '../contract/decision.ts';

/**
 * Signs a decision as the key's owner, as of now and for as long as one may count.
 * @param notBefore seconds that a clock here which is behind must not fall below
 */
export async function signDecision(
  key: SigningKey,
  about: Omit<DecisionClaims, 'sub' | 'iat' | 'exp' | 'executeBy' | 'jti'>,
  notBefore = 0,
): Promise<string> {
  const iat = Math.max(notBefore, Math.floor(Date.now() / 1000));
  const claims: Omit<DecisionClaims, 'jti'> = {
    ...{ ...about, sub: key.sub, iat },
    ...{ exp: iat + tokenLimits.accepted, executeBy: iat + tokenLimits.executed },
  };
  return key.sign(tokenTypes.decision, claims);
}
