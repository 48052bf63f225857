import { KeyError, SigningKey } from '../authority/private-key.ts';
import { CliError } from './errors.ts';

/**
 * The caller's key: `--key`, else ROLLBACK_KEY; undefined where neither is given.
 * @throws {CliError} where the file is no key, or not the caller's alone.
 */
export async function ownKey(file: string | undefined): Promise<SigningKey | undefined> {
  const wanted = file ?? process.env.ROLLBACK_KEY;
  if (!wanted) return undefined;
  try {
    return await SigningKey.read(wanted);
  } catch (error) {
    throw error instanceof KeyError ? new CliError(error.message) : error;
  }
}
