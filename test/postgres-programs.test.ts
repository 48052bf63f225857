/** PostgreSQL's programs, which a worker starts and must never leave behind. */
import { afterAll, expect, test } from '@jest/globals';
import { execa } from 'execa';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverAccount } from '../sandbox/postgres-account.ts';
import { runProgram } from '../src/activities/postgres/run-program.ts';
import { eventually } from './support/eventually.ts';

const folder = mkdtempSync(join(tmpdir(), 'rollback-programs-'));
const account = serverAccount();
if (account) chownSync(folder, account.uid, account.gid);
afterAll(() => rmSync(folder, { recursive: true }));
const { signal: cancelled } = new AbortController();
const sources = `${import.meta.dirname}/../src/activities/postgres`;

/** Runs code as a worker of its own. */
function runWorker(code: string) {
  return execa('node', ['--input-type=module', '-e', code], { reject: false });
}

test('nothing is left of a recovery whose worker is killed', async () => {
  const worker = runWorker(`
    import { Scratch } from '${sources}/recovery/scratch.ts';
    const scratch = await Scratch.open(${JSON.stringify(folder)}, ${JSON.stringify(folder)});
    await scratch.write('file', 'of some size');
    const cancelled = new AbortController().signal;
    void scratch.run('sh', ['-c', 'echo $$ > "$0/pid"; sleep 600', scratch.folder], { cancelled });`);
  const [found = ''] = await eventually('the program runs', () => {
    const folders = readdirSync(folder).filter((one) => existsSync(join(folder, one, 'pid')));
    return Promise.resolve(folders.length > 0 && folders);
  });
  const pid = readFileSync(join(folder, found, 'pid'), 'utf8').trim();

  worker.kill('SIGKILL');

  await eventually('the folder goes', () => Promise.resolve(!existsSync(join(folder, found))));
  const { stdout: state } = await execa('ps', ['-o', 'stat=', '-p', pid], { reject: false });
  // Ended: gone, or only not yet taken note of by the machine's first process.
  expect(state).toMatch(/^(Z.*)?$/);
});

test('a program does not begin where its worker is killed before anybody knows whom to end', async () => {
  const begun = join(folder, 'begun');
  const worker = runWorker(`
    import { runProgram } from '${sources}/run-program.ts';
    const cancelled = new AbortController().signal;
    const started = (group) => {
      process.stdout.write(String(group));
      process.kill(process.pid, 'SIGKILL');
    };
    await runProgram('touch', [${JSON.stringify(begun)}], { cancelled, started });`);
  const { stdout: group, signal } = await worker;
  expect(signal).toBe('SIGKILL');

  await eventually('the program is gone', async () => {
    const { stdout } = await execa('ps', ['-o', 'stat=', '-p', group], { reject: false });
    return /^(Z.*)?$/.test(stdout);
  });
  expect(existsSync(begun)).toBe(false);
});

test('a program that is not on the worker is told so, one that fails by its own words', async () => {
  expect(await runProgram('/nowhere/pg_restore', [], { cancelled })).toContain(
    '/nowhere/pg_restore is not on this worker: install PostgreSQL',
  );
  expect(
    await runProgram('sh', ['-c', 'echo "pg_dump: error: no" >&2; exit 3'], { cancelled }),
  ).toBe('no');
  expect(await runProgram('sh', ['-c', 'exit 3'], { cancelled })).toBe('sh ended with 3');
  expect(await runProgram('sh', ['-c', 'test -z "$(cat)"'], { cancelled })).toBeUndefined();
});
