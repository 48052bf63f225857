/**
 * Tokens as workflow code sees them. Who a decision is from is told by a worker, which knows keys
 * and roles as they are now; here, what cannot be honest is turned away without leaving history.
 */
import type { KnownKey } from '../../contract/authority.ts';
import { maxTokenLength, type DecisionClaims } from '../../contract/decision.ts';
import { isSignature } from './ed25519.ts';

export interface ReadToken {
  kid: string;
  claims: DecisionClaims;
  /** What is signed, and the signature. */
  signed: Uint8Array;
  signature: Uint8Array;
}

/** Reads a compact JWS without believing it; undefined for anything else. */
export function readToken(token: unknown): ReadToken | undefined {
  if (typeof token !== 'string' || token.length > maxTokenLength) return undefined;
  const parts = token.split('.');
  const [header, payload, signature] = parts.map(bytesOf);
  if (parts.length !== 3 || !header || !payload || signature?.length !== 64) return undefined;
  const { alg, kid } = jsonOf(header);
  if (alg !== 'EdDSA' || typeof kid !== 'string') return undefined;
  const signed = new TextEncoder().encode(token.slice(0, token.lastIndexOf('.')));
  return { kid, claims: jsonOf(payload) as unknown as DecisionClaims, signed, signature };
}

/** Whether one of these keys made the signature. Some milliseconds of work. */
export function isSignedBy(token: ReadToken, keys: readonly KnownKey[]): boolean {
  const publicKey = bytesOf(keys.find(({ kid }) => kid === token.kid)?.x ?? '');
  return publicKey?.length === 32 && isSignature(token.signature, token.signed, publicKey);
}

function jsonOf(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // No JSON says as little as an empty object.
  }
  return {};
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const values = new Map([...alphabet].map((letter, value) => [letter, value]));

/** Bytes of base64url without padding (RFC 7515); workflow code has no decoder of its own. */
function bytesOf(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let rest = 0;
  let bits = 0;
  let length = 0;
  for (const letter of text) {
    const value = values.get(letter);
    if (value === undefined) return undefined;
    rest = ((rest << 6) | value) & 0xfff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (rest >> bits) & 0xff;
  }
  return bytes;
}
