import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository } from './setup/folders.mjs';

/** A worker as it runs in production, a process of its own, to be killed, stopped and continued. */
export class WorkerProcess {
  /** What it has written so far. */
  readonly lines: string[] = [];
  /** Resolves when it says that it is ready; rejects where it ends before that. */
  readonly ready: Promise<void>;
  private readonly process: ChildProcess;
  private readonly ended: Promise<unknown>;

  /** @param variables of its environment, beside those of this process */
  constructor(variables: Record<string, string>) {
    this.process = spawn(join(repository, 'bin', 'worker'), {
      env: { ...process.env, NODE_OPTIONS: '', ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.ended = once(this.process, 'exit');
    this.ready = new Promise((resolve, reject) => {
      for (const output of [this.process.stdout, this.process.stderr]) {
        createInterface({ input: output as NonNullable<typeof output> }).on('line', (line) => {
          this.lines.push(line);
          if (line.includes('worker is ready')) resolve();
        });
      }
      void this.ended.then(() =>
        reject(new Error(`The worker ended before it was ready:\n${this.lines.join('\n')}`)),
      );
    });
    // Who kills a worker at once does not wait for it to be ready.
    this.ready.catch(() => undefined);
  }

  /** Starts a worker and waits until it says that it is ready. */
  static async start(variables: Record<string, string>): Promise<WorkerProcess> {
    const worker = new WorkerProcess(variables);
    await worker.ready;
    return worker;
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Sends a signal and waits for the end of the process; where it has ended, at once. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.signal(signal);
    await this.ended;
  }
}
