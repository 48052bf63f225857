import { join } from 'node:path';
import { SigningKey } from '../../src/authority/private-key.ts';

/** The sandbox's people. */
export type PersonName = 'on-call' | 'on-call-2' | 'on-call-3' | 'team-lead' | 'cto';

export function keyFileOf(person: PersonName | 'worker'): string {
  return join(process.env.ROLLBACK_KEYS ?? '', `${person}.jwk`);
}

/** A person's key, or the worker's. */
export function keyOf(person: PersonName | 'worker'): Promise<SigningKey> {
  return SigningKey.read(keyFileOf(person));
}
