import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, removeRecord, writeRecord, type ServerRecord } from './records.ts';
import type { Server } from './server.ts';
import { startOf } from './setup/process-identity.mjs';

/** Marks all processes of a sandbox, in their environment; its value is the sandbox's folder. */
const mark = 'ROLLBACK_SANDBOX';

const graceMs = 5000;

/**
 * Starts a server as a process of its own, which outlives this command and its terminal, and
 * writes its record down at once.
 */
export async function spawnServer(dir: string, server: Server): Promise<ServerRecord> {
  const { file, args, cwd, env, account } = await server.command();
  mkdirSync(join(dir, 'logs'), { recursive: true });
  const log = join(dir, 'logs', `${server.name}.log`);
  const output = openSync(log, 'a');
  const logStart = statSync(log).size;
  try {
    const child = spawn(file, args, {
      cwd,
      // Options for the Node that starts the sandbox, a test's for instance, are not for servers.
      env: { ...process.env, NODE_OPTIONS: '', ...env, [mark]: dir },
      detached: true,
      stdio: ['ignore', output, output],
      ...account,
    });
    const { pid } = child;
    if (!pid) throw await failure(child, server.name, file);
    const record: ServerRecord = {
      name: server.name,
      pid,
      // A process that is gone already has no start: any text that no living one has will do.
      start: startOf(pid) ?? 'gone',
      stopSignal: server.stopSignal,
      address: server.address,
      log,
      logStart,
      ready: false,
    };
    writeRecord(dir, record);
    child.unref();
    return record;
  } finally {
    closeSync(output);
  }
}

/** Ends the process of a record, with everything in its process group, and forgets the record. */
export async function stopServer(dir: string, record: ServerRecord): Promise<void> {
  if (isAlive(record)) {
    send(record.pid, record.stopSignal);
    if (!(await ended(() => !isAlive(record), graceMs))) send(-record.pid, 'SIGKILL');
    await ended(() => !isAlive(record), graceMs);
  }
  removeRecord(dir, record.name);
}

/**
 * Ends all processes that carry the mark of a sandbox, once those that stand in a record are
 * ended: started by a command that was killed before it could write, left by a server that died,
 * or of a folder that was deleted by hand. Looks in /proc, and so does nothing without it.
 * @returns how many there were
 */
export async function stopUnrecorded(dir: string): Promise<number> {
  const strays = markedProcesses(dir);
  for (const pid of strays) send(pid, 'SIGTERM');
  const alive = () => markedProcesses(dir).filter((pid) => strays.includes(pid));
  if (strays.length > 0 && !(await ended(() => alive().length === 0, graceMs))) {
    for (const pid of alive()) send(pid, 'SIGKILL');
  }
  return strays.length;
}

function markedProcesses(dir: string): number[] {
  if (!existsSync('/proc/self/environ')) return [];
  const wanted = `${mark}=${dir}\0`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        const environment = `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}\0`;
        return environment.includes(`\0${wanted}`) && startOf(pid) !== undefined;
      } catch {
        return false;
      }
    });
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Gone in the meantime is what was wanted.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function ended(condition: () => boolean, withinMs: number): Promise<boolean> {
  const until = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > until) return false;
    await sleep(20);
  }
  return true;
}

function failure(child: ReturnType<typeof spawn>, name: string, file: string): Promise<Error> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      resolve(new Error(`${name} could not be started from ${file}: ${error.message}.`));
    });
  });
}
