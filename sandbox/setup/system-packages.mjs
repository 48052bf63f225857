import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './folders.mjs';
import { withLock } from './lock.mjs';
import { onPath, runLogged } from './run.mjs';
import { say, sayWhile } from './say.mjs';

/**
 * Makes sure that PostgreSQL and Redis are installed; as root on Debian, installs them, and PgBouncer
 * with them, of which only tests and measurements make use where it is there.
 */
export async function ensureSystemPackages() {
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get');
  if (missing().length === 0 && (!mayInstall || hasPooler())) return;
  if (!mayInstall) {
    throw new Error(
      `${missing().join(' and ')} not found: install with ` +
        '`sudo apt-get install postgresql redis-server` (Debian) or ' +
        '`brew install postgresql@17 redis` (Homebrew) and run the command again.',
    );
  }
  await withLock('apt-get', install, {
    onWait: (pid) => say(`Waiting for process ${pid}, which installs PostgreSQL and Redis.`),
  });
}

/**
 * The folder of PostgreSQL's programs. Debian and Homebrew keep the servers off PATH.
 * @returns {string | undefined}
 */
export function findPostgres() {
  const postgres = onPath('postgres');
  const folders = [
    ...(postgres ? [join(postgres, '..')] : []),
    ...versioned('/usr/lib/postgresql', /^\d+$/),
    ...versioned('/opt/homebrew/opt', /^postgresql@\d+$/),
    ...versioned('/usr/local/opt', /^postgresql@\d+$/),
  ];
  return folders.find((folder) =>
    ['postgres', 'initdb', 'psql'].every((name) => existsSync(join(folder, name))),
  );
}

/** Whether PgBouncer is there, or cannot be had on this machine. */
function hasPooler() {
  return onPath('pgbouncer') !== undefined || existsSync(triedPooler());
}

function triedPooler() {
  return join(cacheFolder(), 'logs', 'pgbouncer-tried');
}

function missing() {
  return [
    ...(findPostgres() ? [] : ['PostgreSQL (postgres and initdb)']),
    ...(onPath('redis-server') ? [] : ['Redis (redis-server)']),
  ];
}

async function install() {
  if (missing().length === 0 && hasPooler()) return;
  const logs = join(cacheFolder(), 'logs');
  mkdirSync(logs, { recursive: true });
  const log = join(logs, 'apt-get.log');
  writeFileSync(log, '');
  // The run level keeps the packages from starting services of their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const packages = ['postgresql', 'redis-server', 'pgbouncer'];
  const args = ['install', '-y', '--no-install-recommends', ...packages];
  await sayWhile('Installing PostgreSQL, Redis and PgBouncer', 'about a minute', async () => {
    try {
      await runLogged('apt-get', ['update'], { env, log });
      await runLogged('apt-get', args, { env, log });
    } catch (error) {
      if (missing().length > 0) throw error;
    }
    writeFileSync(triedPooler(), '');
  });
  if (missing().length > 0) {
    throw new Error(`${missing().join(' and ')} still not found after apt-get; see ${log}.`);
  }
}

/**
 * The `bin` folders of the versions that lie side by side in a folder, the newest first.
 * @param {string} parent
 * @param {RegExp} pattern
 */
function versioned(parent, pattern) {
  if (!existsSync(parent)) return [];
  const number = (/** @type {string} */ name) => Number(/\d+/.exec(name)?.[0] ?? 0);
  return readdirSync(parent)
    .filter((name) => pattern.test(name))
    .sort((one, other) => number(other) - number(one))
    .map((name) => join(parent, name, 'bin'));
}
