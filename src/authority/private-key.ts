/** Private keys: files that only their owner may read. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { calculateJwkThumbprint, importJWK, SignJWT, type CryptoKey } from 'jose';
import { z } from 'zod';
import type { TokenType } from '../contract/decision.ts';

/** An Ed25519 private key as JWK (RFC 8037), with the name of its owner. */
export interface PrivateJwk {
  kty: 'OKP';
  crv: 'Ed25519';
  x: string;
  d: string;
  kid: string;
  /** The person's name in the people file. */
  sub: string;
  /** Set on the keys of a sandbox, which count on loopback only. */
  sandbox?: true;
}

const privateJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
  kid: z.string().min(1),
  sub: z.string().min(1),
});

/** A key file that cannot be used; the message says how to mend it. */
export class KeyError extends Error {}

/** Makes a new key for `sub`. */
export async function makeKey(sub: string, sandbox = false): Promise<PrivateJwk> {
  const { x = '', d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
  return { kty: 'OKP', crv: 'Ed25519', x, d, kid, sub, ...(sandbox ? { sandbox } : {}) };
}

/** What the people file has of a key. */
export function publicPart({ kty, crv, x, kid, sandbox }: PrivateJwk) {
  return { kty, crv, x, kid, ...(sandbox ? { sandbox } : {}) };
}

/** A private key that can sign. It never shows what it is made of. */
export class SigningKey {
  readonly sub: string;
  readonly kid: string;
  readonly #key: CryptoKey;

  private constructor(sub: string, kid: string, key: CryptoKey) {
    this.sub = sub;
    this.kid = kid;
    this.#key = key;
  }

  /**
   * Reads a key file.
   * @throws {KeyError} where it is not there, no key, or readable by others than its owner.
   */
  static async read(file: string): Promise<SigningKey> {
    const parsed = privateJwk.safeParse(parseJson(readPrivately(file)));
    if (!parsed.success) {
      throw new KeyError(
        `${file} is not a private key of this tool: make one with rollback keygen NAME.`,
      );
    }
    return SigningKey.of(parsed.data, file);
  }

  static async of(jwk: Omit<PrivateJwk, 'sandbox'>, file = 'the key'): Promise<SigningKey> {
    try {
      const { kty, crv, x, d, kid, sub } = jwk;
      return new SigningKey(sub, kid, await importJWK({ kty, crv, x, d }, 'EdDSA'));
    } catch {
      throw new KeyError(`${file} holds a damaged key: make another with rollback keygen NAME.`);
    }
  }

  /** Signs claims as a compact JWS; `jti` is new, all times are the caller's. */
  sign(type: TokenType, claims: object): Promise<string> {
    return new SignJWT({ ...claims, jti: randomUUID() })
      .setProtectedHeader({ alg: 'EdDSA', typ: type, kid: this.kid })
      .sign(this.#key);
  }
}

function readPrivately(file: string): string {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'is not there' : `cannot be read (${message})`;
    throw new KeyError(
      `The key file ${file} ${why}: name yours with --key or ROLLBACK_KEY, or make one with rollback keygen NAME.`,
    );
  }
  try {
    const stat = fstatSync(handle);
    // A pipe is between the two processes that hold its ends.
    if (stat.isFile() && (stat.mode & 0o077) !== 0) {
      throw new KeyError(
        `The key file ${file} can be read by others than its owner, so it proves nothing: chmod 600 ${file}, or make a new key if somebody may have read it.`,
      );
    }
    return readFileSync(handle, 'utf8');
  } finally {
    closeSync(handle);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
