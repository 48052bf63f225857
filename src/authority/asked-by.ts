import { decodeJwt } from 'jose';
import type { SealClaims } from '../contract/authority.ts';
import type { Authorization } from '../contract/plan.ts';

/** Who asked for a run, from an authorization that the guard has verified. */
export function askedBy({ seal, approvals }: Authorization): string {
  const { start } = decodeJwt<SealClaims>(seal);
  if ('by' in start) return start.by;
  const [confirmed] = approvals.flatMap((token) => decodeJwt(token).sub ?? []);
  return confirmed ?? start.kind;
}
