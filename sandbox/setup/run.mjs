import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Runs a command to its end, with all that it prints in a log.
 * @param {string} file
 * @param {string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, log: string}} options
 * @returns {Promise<void>} rejects with the end of the log when the command fails
 */
export async function runLogged(file, args, { cwd, env, log }) {
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
      const end = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
      throw new Error(`\`${file} ${args[0]}\` failed (${code}); the end of ${log}:\n${end}`);
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
