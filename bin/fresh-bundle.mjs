// The CLI as one bundle starts in three quarters of the time that its sources take. It is only used
// while it is newer than every source, so that an edit is never missed.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '..');

export const bundleFolder = join(repository, 'build', 'cli');
export const bundleEntry = join(bundleFolder, 'main.mjs');
export const sourceEntry = join(repository, 'src', 'client', 'main.ts');

/** Whether the bundle is there and newer than every source and the list of packages. */
export function isBundleFresh() {
  const made = statSync(bundleEntry, { throwIfNoEntry: false })?.mtimeMs;
  if (made === undefined) return false;
  const sources = readdirSync(join(repository, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return [...sources, join(repository, 'package-lock.json')].every(
    (file) => statSync(file).mtimeMs < made,
  );
}
