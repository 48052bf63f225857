/**
 * Checks Ed25519 signatures (RFC 8032) in workflow code, which has no crypto of its own. Loaded once
 * for all runs of a worker, since its tables are many: see `workflow-bundle.ts`.
 */
import { hashes, verify } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';

hashes.sha512 = sha512;

/** Whether the owner of this public key signed the message; false too for bytes that are no key. */
export function isSignature(
  signature: Uint8Array,
  message: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  try {
    return verify(signature, message, publicKey);
  } catch {
    return false;
  }
}
