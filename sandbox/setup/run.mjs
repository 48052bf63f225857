import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} log
 * @property {boolean} [reasonFirst] whether the command says first, not last, why it failed
 */

/**
 * Runs a command to its end, with all that it prints in a log.
 * @param {string} file
 * @param {string[]} args
 * @param {RunOptions} options
 * @returns {Promise<void>} rejects with a part of the log when the command fails
 */
export async function runLogged(file, args, { cwd, env, log, reasonFirst }) {
  const command = [file.replace(/^.*\//, ''), ...args.slice(0, 2)].join(' ');
  const output = openSync(log, 'a');
  const child = spawn(file, args, {
    cwd,
    env: env ?? process.env,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  // A kill of the set-up alone must not leave the command running behind its back.
  const stop = (/** @type {NodeJS.Signals} */ signal) => {
    child.kill(signal);
    process.exit(130);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop);
  try {
    const code = await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve(status ?? signal));
    });
    if (code !== 0) {
      const lines = readFileSync(log, 'utf8').trim().split('\n');
      const part = reasonFirst ? lines.slice(0, 6) : lines.slice(-15);
      throw new Error(`\`${command}\` failed (${code}); from ${log}:\n${part.join('\n')}`);
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop);
  }
}

/**
 * What a command prints on stdout and stderr, or undefined when it cannot run.
 * @param {string} file
 * @param {string[]} args
 */
export function ask(file, args) {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? `${stdout}${stderr}` : undefined;
}

/**
 * The path of a command found on PATH.
 * @param {string} name
 * @returns {string | undefined}
 */
export function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}
