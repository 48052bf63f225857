/** Secrets as the worker has them, under the names that the settings say. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Secret } from '../config/secret.ts';

/** A secret that this worker does not have. */
export class SecretMissing extends Error {}

/**
 * Reads a secret anew, without its prefix.
 * @param user what needs it, in words
 * @param folder that of the settings file
 * @throws {SecretMissing} with the name of the variable or file.
 */
export function readSecret(from: Secret, user: string, folder: string): string {
  if ('env' in from) {
    const value = process.env[from.env];
    if (value) return value;
    throw new SecretMissing(
      `The environment variable ${from.env} is not set, which ${user} needs: set it where the worker is started, and start it again.`,
    );
  }
  const file = resolve(folder, from.file);
  let value: string;
  try {
    value = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SecretMissing(
      `The file ${file} cannot be read (${code}), which ${user} needs: put the secret there, readable for the worker.`,
    );
  }
  if (value) return value;
  throw new SecretMissing(`The file ${file} is empty, and ${user} needs its secret.`);
}
