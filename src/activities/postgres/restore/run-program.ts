import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { printable } from '../../../contract/printable.ts';
import { killGroup } from '../../kill-group.ts';
import type { Progress } from '../../progress.ts';
import type { Database } from '../database.ts';

const longestReason = 600;
const mostErrors = 4;

/** Program of PostgreSQL, from the folder of the settings or the worker's PATH. */
export function programPath(name: string, folder: string | undefined): string {
  return folder === undefined ? name : join(folder, name);
}

/**
 * Runs a program of PostgreSQL on one database of the server, with the jobs of the settings. It ends
 * with the activity, and with the worker, together with the processes of its jobs.
 * @param see gets each line that it writes about what it does
 * @returns why it failed, in its own words of error: what stands behind them may be rows; undefined
 *   where all went well
 */
export async function runProgram(
  name: 'pg_restore' | 'vacuumdb',
  flags: readonly string[],
  { database, on }: { database: Database; on: string },
  progress: Progress,
  see: (line: string) => void = () => undefined,
): Promise<string | undefined> {
  const { jobs = 1, programs } = database.settings.backups ?? {};
  const { address, env } = database.forPrograms(on);
  progress.cancelled.throwIfAborted();
  const running = execa(
    programPath(name, programs),
    [`--dbname=${address}`, `--jobs=${jobs}`, ...flags],
    {
      ...{ stdin: 'ignore', stdout: 'ignore', buffer: false, reject: false },
      // A group of its own: it has a process for each job.
      ...{ detached: true, cleanup: false, env: { ...env, LC_ALL: 'C' } },
    },
  );
  const end = () => killGroup(running.pid);
  progress.cancelled.addEventListener('abort', end, { once: true });
  process.once('exit', end);
  try {
    const errors: string[] = [];
    if (running.pid !== undefined) {
      for await (const line of createInterface({ input: running.stderr })) {
        if (line.startsWith(`${name}: error: `)) errors.push(line.slice(`${name}: error: `.length));
        see(line);
      }
    }
    const { failed, exitCode, signal, code } = await running;
    progress.cancelled.throwIfAborted();
    if (!failed) return undefined;
    const ended = `${name} ended with ${exitCode ?? signal ?? code}`;
    return printable(errors.slice(0, mostErrors).join('; ') || ended).slice(0, longestReason);
  } finally {
    end();
    process.removeListener('exit', end);
    progress.cancelled.removeEventListener('abort', end);
  }
}
