import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The user's cache that all clones share: built servers, locks, claimed ports. */
export function cacheFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rollback-workflows');
}
