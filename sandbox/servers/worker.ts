import { join } from 'node:path';
import { environment } from '../environment.ts';
import type { Server } from '../server.ts';
import { repository } from '../setup/folders.mjs';
import type { Sandbox } from '../state.ts';

/** The project's own worker, with the environment that `env` prints. */
export function worker(sandbox: Sandbox, after: readonly string[]): Server {
  return {
    name: 'worker',
    address: `http://127.0.0.1:${sandbox.ports.workerMetrics}/metrics`,
    after,
    stopSignal: 'SIGTERM',
    command: () => ({
      file: join(repository, 'bin', 'worker'),
      args: [],
      cwd: repository,
      env: environment(sandbox.dir),
    }),
    isReady: (log) => log.includes('worker is ready'),
  };
}
