import { createHash, randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheFolder } from './folders.mjs';
import { startOf } from './process-identity.mjs';

/**
 * @typedef {object} LockOptions
 * @property {(pid: number) => void} [onWait] called once with the holder, when it is waited for
 * @property {AbortSignal} [signal] ends the waiting
 */

/**
 * Does work that one process of this user may do at a time; the others wait. The lock of a
 * process that died is taken over.
 * @template T
 * @param {string} name what is locked; any text
 * @param {() => T | Promise<T>} work
 * @param {LockOptions} [options]
 * @returns {Promise<T>}
 */
export async function withLock(name, work, { onWait, signal } = {}) {
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const folder = join(cacheFolder(), 'locks', digest);
  mkdirSync(folder, { recursive: true });
  let waiting = false;
  for (;;) {
    signal?.throwIfAborted();
    const answer = takeTurn(folder);
    if (answer.turn) {
      try {
        return await work();
      } finally {
        release(folder, answer.turn);
      }
    }
    if (answer.holder && !waiting) {
      waiting = true;
      onWait?.(answer.holder);
    }
    if (answer.holder) await sleep(150, undefined, { signal }).catch(() => {});
  }
}

/**
 * A lock is a folder of numbered files; the highest number holds. Taking over a dead holder means
 * linking the next number, which only one process can do. The highest file is never removed, not
 * even on release, so a slow process that links a number long passed sees a higher one and
 * gives up: removing and making one single file again could let two in.
 * @param {string} folder
 * @returns {{turn?: number, holder?: number}}
 */
function takeTurn(folder) {
  const newest = newestTurn(folder);
  if (newest) {
    const holder = livingHolder(folder, newest);
    if (holder) return { holder };
  }
  const turn = newest + 1;
  const candidate = join(folder, `.${randomUUID()}`);
  writeFileSync(candidate, JSON.stringify({ pid: process.pid, start: startOf(process.pid) }));
  try {
    linkSync(candidate, join(folder, String(turn)));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return {};
    throw error;
  } finally {
    rmSync(candidate, { force: true });
  }
  if (newestTurn(folder) !== turn) {
    rmSync(join(folder, String(turn)), { force: true });
    return {};
  }
  for (const passed of turns(folder)) {
    if (passed < turn) rmSync(join(folder, String(passed)), { force: true });
  }
  return { turn };
}

/**
 * @param {string} folder
 * @param {number} turn
 */
function release(folder, turn) {
  const released = join(folder, `.${randomUUID()}`);
  writeFileSync(released, '{}');
  renameSync(released, join(folder, String(turn)));
}

/** @param {string} folder */
function turns(folder) {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** @param {string} folder */
function newestTurn(folder) {
  return Math.max(0, ...turns(folder));
}

/**
 * @param {string} folder
 * @param {number} turn
 * @returns {number | undefined} the pid that holds the lock
 */
function livingHolder(folder, turn) {
  try {
    const holder = JSON.parse(readFileSync(join(folder, String(turn)), 'utf8'));
    if (holder.pid && startOf(holder.pid) === holder.start) return holder.pid;
  } catch {
    // Passed by in the meantime: the next look sees the newer turn.
  }
  return undefined;
}
