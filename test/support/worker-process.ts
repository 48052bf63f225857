import { execa } from 'execa';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** A worker as it runs in production: a process of its own, that can be killed. */
export class WorkerProcess {
  private readonly process;

  private constructor(temporalAddress: string) {
    const settings = join(mkdtempSync(join(tmpdir(), 'rollback-worker-')), 'rollback.yaml');
    writeFileSync(settings, 'worker: { logLevel: info }\n');
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
    for await (const line of worker.process.iterable({ from: 'all', preserveNewlines: false })) {
      said.push(line);
      if (line.includes('worker is ready')) return worker;
    }
    throw new Error(`The worker ended before it was ready:\n${said.join('\n')}`);
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.process.kill(signal);
    await this.process;
  }
}
