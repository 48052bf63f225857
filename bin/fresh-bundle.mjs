// CLI and worker start from bundles in less than three quarters of the time that their sources
// take. A bundle is only used while it is newer than every source, so that an edit is never missed.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const repository = join(import.meta.dirname, '..');
/** As deep in the repository as the sources are, so that both find its root in the same way. */
export const bundleFolder = join(repository, 'build', 'bundle');

const sources = { cli: 'src/client/main.ts', worker: 'src/workers/main.ts' };
/** Where a bundle of each is, in the folder. */
export const bundleNames = { cli: 'cli.cjs', worker: 'worker.mjs' };

/** Whether the bundles are there and newer than every source and the list of packages. */
export function isBundleFresh() {
  const made = Object.values(bundleNames).map(
    (name) => statSync(join(bundleFolder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  const oldest = Math.min(...made);
  if (oldest === 0) return false;
  const files = ['bin', 'src'].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return [...files, join(repository, 'package-lock.json')].every(
    (file) => statSync(file).mtimeMs < oldest,
  );
}

/**
 * What to start `cli` or `worker` from.
 * @param {keyof typeof sources} name
 */
export function entryOf(name) {
  return isBundleFresh() ? bundleOf(name) : join(repository, sources[name]);
}

/** @param {keyof typeof sources} name */
function bundleOf(name) {
  return join(bundleFolder, bundleNames[name]);
}
