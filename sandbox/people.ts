import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { makeKey, publicPart, type PrivateJwk } from '../src/authority/private-key.ts';

/** The demo's people with their roles; each has a key in the folder that ROLLBACK_KEYS names. */
const people = {
  'on-call': ['on-call'],
  // Enough for two of them to stand in for a lead when the third has asked for the run.
  'on-call-2': ['on-call'],
  'on-call-3': ['on-call'],
  'team-lead': ['team-lead'],
  cto: ['cto'],
};
type Name = keyof typeof people | 'worker';

/** The folder of a sandbox's private keys. */
export function keysFolder(dir: string): string {
  return join(dir, 'keys');
}

export function keyFile(dir: string, name: Name): string {
  return join(keysFolder(dir), `${name}.jwk`);
}

/** Roles and public keys of the demo's people. */
export function peopleFile(dir: string): string {
  return join(keysFolder(dir), 'people.yaml');
}

/** Makes the people of a sandbox, once: all of their keys, or none. */
export async function ensurePeople(dir: string): Promise<void> {
  if (existsSync(keysFolder(dir))) return;
  const partial = `${keysFolder(dir)}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const make = async (name: Name) => {
    const key: PrivateJwk = await makeKey(name, true);
    writeFileSync(join(partial, `${name}.jwk`), `${JSON.stringify(key)}\n`, { mode: 0o600 });
    return publicPart(key);
  };
  const entries = await Promise.all(
    Object.entries(people).map(async ([name, roles]) => {
      return [name, { roles, keys: [await make(name as Name)] }] as const;
    }),
  );
  const file = { people: Object.fromEntries(entries), workers: [await make('worker')] };
  writeFileSync(join(partial, 'people.yaml'), stringify(file));
  renameSync(partial, keysFolder(dir));
}
