import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { printable } from '../../contract/printable.ts';
import { killGroup } from '../kill-group.ts';
import type { Database } from './database.ts';
import { DatabaseUnreachable, withoutQuoted } from './errors.ts';
import { startKeeper } from './keeper.ts';

const longestReason = 600;
const mostErrors = 4;
/** What PostgreSQL's programs write where they fail; a server also what it says about its parameters. */
const errorPattern = /^(?:\w+: error: |(?:FATAL|PANIC): +|LOG: +(?=invalid|unrecognized))(.*)$/;
/** What those write that copy files: for a server, it is of no matter that some are not there. */
const copyErrorPattern = /^(?:cp|tar|gzip|mkdir|sh): .*$/;

/** What a table could not be filled for. */
const rowError = /^(COPY failed for table .*?: ERROR: +)(.*)$/;
/**
 * Becomes the program once it may: not before somebody knows whom to end when the worker is gone. Where
 * there is no such program it says nothing and ends as a shell does then.
 */
const gateScript =
  'read -r go && { command -v -- "$1" >/dev/null || exit 127; exec "$@" </dev/null; }';
const noSuchProgram = 127;
/** Is told the process group of a program, and ends that when the worker is gone: its input ends then. */
const keeperScript = 'read -r group && { cat >/dev/null; kill -s KILL -- "-$group"; }';

/** Program of PostgreSQL, from the folder of the settings or the worker's PATH. */
export function programPath(name: string, folder: string | undefined): string {
  return folder === undefined ? name : join(folder, name);
}

export interface ProgramOptions {
  /** Ends the program. */
  cancelled: AbortSignal;
  env?: Record<string, string>;
  /** Account to run it as, where the worker is root. */
  account?: { uid: number; gid: number };
  /** Gets each line that it writes to its standard error. */
  see?: (line: string) => void;
  /** Gets its process group just before it runs, and ends that where the worker is killed. */
  started?: (group: number) => void;
}

/**
 * Runs a program in a process group of its own, which ends with the activity and with the worker.
 * @returns why it failed, in its own words of error: what stands behind them may be rows; undefined
 *   where all went well
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  { cancelled, env, account, see, started }: ProgramOptions,
): Promise<string | undefined> {
  cancelled.throwIfAborted();
  const running = execa('sh', ['-c', gateScript, 'gate', file, ...args], {
    ...{ stdin: 'pipe', stdout: 'ignore', buffer: false, reject: false },
    // A group of its own: it has a process for each job.
    ...{ detached: true, cleanup: false, env: { ...env, LC_ALL: 'C' }, ...account },
  });
  // One that ends before it has read its line has said why by its exit.
  running.stdin.on('error', () => undefined);
  const keeper = started ? undefined : keeperOf(running.pid);
  const end = () => {
    // First: the number of the group may soon be somebody else's.
    keeper?.kill('SIGKILL');
    killGroup(running.pid);
  };
  cancelled.addEventListener('abort', end, { once: true });
  process.once('exit', end);
  try {
    const errors: string[] = [];
    const copyErrors: string[] = [];
    if (running.pid !== undefined) {
      started?.(running.pid);
      running.stdin.end('\n');
      for await (const line of createInterface({ input: running.stderr })) {
        const [, error] = errorPattern.exec(line) ?? [];
        if (error !== undefined) errors.push(withoutRows(error));
        else if (copyErrorPattern.test(line)) copyErrors.push(line);
        see?.(line);
      }
    }
    const { failed, exitCode, signal } = await running;
    cancelled.throwIfAborted();
    if (!failed) return undefined;
    const said = errors.length > 0 ? errors : copyErrors;
    const ended =
      exitCode === noSuchProgram
        ? `${file} is not on this worker: install PostgreSQL's programs there, or name their folder in backups.programs of the settings`
        : `${file} ended with ${exitCode ?? signal}`;
    return printable(said.slice(0, mostErrors).join('; ') || ended).slice(0, longestReason);
  } finally {
    end();
    process.removeListener('exit', end);
    cancelled.removeEventListener('abort', end);
  }
}

function keeperOf(group: number | undefined) {
  const keeper = startKeeper(keeperScript, []);
  keeper.stdin.write(`${group}\n`);
  return keeper;
}

function withoutRows(error: string): string {
  const [, start = '', why] = rowError.exec(error) ?? [];
  return why === undefined ? error.replace(/(: )".*$/, '$1…') : `${start}${withoutQuoted(why)}`;
}

/** What programs say of a connection that is lost or refused (libpq; errors of PostgreSQL's class 57P). */
const lostPattern =
  /server closed the connection|connection to server .* failed|no connection to the server|could not (?:send data to|receive data from) server|terminating connection|database system is (?:starting up|shutting down|in recovery mode)/;

/**
 * Runs a program of PostgreSQL on one database of the server, with the jobs of the settings.
 * @returns why it failed, as `runProgram`
 * @throws DatabaseUnreachable where the server went away.
 */
export async function runOn(
  { database, on }: { database: Database; on: string },
  name: 'pg_restore' | 'vacuumdb',
  flags: readonly string[],
  options: Pick<ProgramOptions, 'cancelled' | 'see'>,
): Promise<string | undefined> {
  const { jobs = 1, programs } = database.settings.backups ?? {};
  const { address, env } = database.forPrograms(on);
  const args = [`--dbname=${address}`, `--jobs=${jobs}`, ...flags];
  const why = await runProgram(programPath(name, programs), args, { ...options, env });
  if (why !== undefined && lostPattern.test(why)) {
    throw new DatabaseUnreachable(
      `PostgreSQL at ${database.address} does not answer ${name}: ${why}.`,
    );
  }
  return why;
}
