/**
 * Processes beside the worker, which they outlive: a worker that is killed ends, resumes and removes
 * nothing itself.
 */
import { execa } from 'execa';

/**
 * Starts one that runs `script`, with `args` from `$1` on. Its standard input ends with the worker, whatever
 * ends that; it is for the script to wait for it, and for the caller to end the keeper when all is done.
 */
export function startKeeper(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
) {
  const keeper = execa('sh', ['-c', script, 'keeper', ...args], {
    ...{ stdin: 'pipe', stdout: 'ignore', stderr: 'ignore', reject: false },
    ...{ detached: true, cleanup: false, cwd: '/', env },
  });
  // What it is told after its end is not missed: it has done its work.
  keeper.stdin.on('error', () => undefined);
  return keeper;
}
