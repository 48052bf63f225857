import { resolve } from 'node:path';
import { SettingsError, type LoadedSettings } from '../config/settings.ts';
import { KeyError, SigningKey } from './private-key.ts';
import { assertRolesFilled, type Register, RegisterSource } from './register.ts';

/** Whether an address such as `127.0.0.1:7233` is on this machine. */
export function isLoopback(address: string): boolean {
  const host = address.replace(/^[a-z]+:\/+/, '').replace(/:\d+$/, '');
  const name = host.replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name);
}

/**
 * What a worker needs to know who may decide: the people, and its own key.
 * @throws {SettingsError} where a rule needs people that nobody is, or the worker cannot seal.
 */
export async function loadAuthority(
  loaded: LoadedSettings,
  temporalAddress: string,
): Promise<{ register: RegisterSource; key: SigningKey }> {
  const register = new RegisterSource(loaded, isLoopback(temporalAddress));
  const people = register.current();
  assertRolesFilled(people, register.peopleFile);
  return { register, key: await workerKey(loaded, people, register.peopleFile) };
}

/**
 * The key with which the workers of these settings seal their plans.
 * @throws {SettingsError} where there is none that others would believe.
 */
export async function workerKey(
  loaded: LoadedSettings,
  people: Register,
  peopleFile: string,
): Promise<SigningKey> {
  const file = loaded.settings.worker.key;
  if (file === undefined) {
    throw new SettingsError(
      `worker.key is not in ${loaded.file}: the worker seals its plans with a key of its own. Make one with rollback keygen worker --worker, and name its file there.`,
    );
  }
  const key = await readKey(resolve(loaded.folder, file));
  if (people.hasWorkerKey(key.kid)) return key;
  throw new SettingsError(
    `The worker's key ${key.kid} is not valid by ${peopleFile}: add its public part under workers there.`,
  );
}

async function readKey(file: string): Promise<SigningKey> {
  try {
    return await SigningKey.read(file);
  } catch (error) {
    throw error instanceof KeyError ? new SettingsError(error.message) : error;
  }
}
