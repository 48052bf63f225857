import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder, repository } from './folders.mjs';
import { withLock } from './lock.mjs';
import { runLogged } from './run.mjs';
import { say, sayWhile } from './say.mjs';

const modules = join(repository, 'node_modules');
const stampFile = join(modules, '.setup-stamp');

/**
 * Installs the npm packages of package-lock.json, unless they were installed from exactly this
 * lock file on this platform.
 */
export async function ensurePackages() {
  const wanted = stampOfLockFile();
  if (installed() === wanted) return;
  await withLock(`packages ${repository}`, () => install(wanted), {
    onWait: (pid) => say(`Waiting for process ${pid}, which installs the npm packages.`),
  });
}

/** @param {string} wanted */
async function install(wanted) {
  if (installed() === wanted) return;
  await sayWhile('Installing npm packages', 'about half a minute the first time', async () => {
    const logs = join(cacheFolder(), 'logs');
    mkdirSync(logs, { recursive: true });
    const log = join(logs, 'npm-ci.log');
    writeFileSync(log, '');
    const [file, ...args] = npm();
    const flags = ['ci', '--include=dev', '--loglevel=error', '--no-audit', '--no-fund'];
    await runLogged(file, [...args, ...flags], {
      cwd: repository,
      env: environment(),
      log,
      reasonFirst: true,
    });
  });
  if (!existsSync(join(modules, 'node', 'bin', 'node'))) {
    throw new Error(
      'npm left out the runtime of the package `node`, whose install script must be allowed; ' +
        'unset ignore-scripts in the npm settings and run the command again.',
    );
  }
  writeFileSync(stampFile, wanted);
}

/** @returns {[string, ...string[]]} */
function npm() {
  const { npm_execpath: script, npm_node_execpath: runtime } = process.env;
  if (!script?.endsWith('.js')) return ['npm'];
  // `npm ci` removes node_modules first, so it must not run on the Node that lies in there.
  if (!process.execPath.startsWith(modules)) return [process.execPath, script];
  return runtime && !runtime.startsWith(modules) ? [runtime, script] : ['npm'];
}

/** The environment without this repository's node_modules/.bin on PATH, for the same reason. */
function environment() {
  const path = (process.env.PATH ?? '').split(delimiter);
  return {
    ...process.env,
    PATH: path.filter((folder) => !folder.startsWith(modules)).join(delimiter),
  };
}

function stampOfLockFile() {
  const lock = readFileSync(join(repository, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  return `${hash} ${process.platform} ${process.arch}`;
}

function installed() {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : undefined;
}
