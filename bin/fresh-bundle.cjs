// CLI and worker start from bundles in less than three quarters of the time that their sources
// take. A bundle is only used while it is newer than every source, so that an edit is never missed.
// CommonJS, as all that the CLI starts with: as modules, Node's own would cost it 25 ms.
const { readdirSync, statSync } = require('node:fs');
const { join } = require('node:path');

const repository = join(__dirname, '..');
/** As deep in the repository as the sources are, so that both find its root in the same way. */
const bundleFolder = join(repository, 'build', 'bundle');

const sources = { cli: 'src/client/main.ts', worker: 'src/workers/main.ts' };
/** Where a bundle of each is, in the folder. */
const bundleNames = { cli: 'cli.cjs', worker: 'worker.mjs' };

/** Whether the bundles are there and newer than every source and the list of packages. */
function isBundleFresh() {
  const made = Object.values(bundleNames).map(
    (name) => statSync(join(bundleFolder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  const oldest = Math.min(...made);
  if (oldest === 0) return false;
  return ['bin', 'src', 'package-lock.json'].every((path) =>
    isOlder(`${repository}/${path}`, oldest),
  );
}

/**
 * Whether a file, or every file in a folder, is older; read so that it costs a start of the CLI 4 ms.
 * @param {string} path
 * @param {number} timeMs
 * @returns {boolean}
 */
function isOlder(path, timeMs) {
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs < timeMs;
  return readdirSync(path).every((name) => isOlder(`${path}/${name}`, timeMs));
}

/**
 * What to start `cli` or `worker` from.
 * @param {keyof typeof sources} name
 */
function entryOf(name) {
  return isBundleFresh() ? bundleOf(name) : join(repository, sources[name]);
}

/** @param {keyof typeof sources} name */
function bundleOf(name) {
  return join(bundleFolder, bundleNames[name]);
}

module.exports = { bundleFolder, bundleNames, entryOf, isBundleFresh, repository };
