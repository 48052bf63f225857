import { execa } from 'execa';
import { rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { writeSettings } from './settings.ts';

/** A worker as it runs in production: a process of its own, that can be killed. */
export class WorkerProcess {
  private readonly process;
  private readonly folder: string;

  private constructor(temporalAddress: string) {
    const settings = writeSettings({ worker: { logLevel: 'info' } });
    this.folder = dirname(settings);
    const repository = resolve(import.meta.dirname, '../..');
    this.process = execa(process.execPath, ['src/workers/main.ts'], {
      cwd: repository,
      env: { TEMPORAL_ADDRESS: temporalAddress, ROLLBACK_CONFIG: settings },
      reject: false,
      all: true,
    });
  }

  /** Starts a worker and waits until it says that it is ready. */
  static async start(temporalAddress: string): Promise<WorkerProcess> {
    const worker = new WorkerProcess(temporalAddress);
    const said: string[] = [];
    const ready = new Promise<void>((resolve) => {
      const lines = createInterface({ input: worker.process.all });
      lines.on('line', (line) => {
        said.push(line);
        if (line.includes('worker is ready')) resolve();
      });
    });
    const ended = worker.process.then(() => {
      throw new Error(`The worker ended before it was ready:\n${said.join('\n')}`);
    });
    await Promise.race([ready, ended]);
    // From here on its end is nothing unexpected.
    ended.catch(() => undefined);
    return worker;
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.process.kill(signal);
    await this.process;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
