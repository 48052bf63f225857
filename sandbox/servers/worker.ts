import { join } from 'node:path';
import { environment } from '../environment.ts';
import type { Server } from '../server.ts';
import { cacheFolder, repository } from '../setup/folders.mjs';
import type { Sandbox } from '../state.ts';
import { runtime } from './wakala.ts';

/** The project's own worker, with the environment that `env` prints. */
export function worker(sandbox: Sandbox, after: readonly string[]): Server {
  return {
    name: 'worker',
    address: `http://127.0.0.1:${sandbox.ports.workerMetrics}/metrics`,
    after,
    stopSignal: 'SIGTERM',
    command: () => ({
      file: runtime,
      args: [join(repository, 'bin', 'worker.mjs')],
      cwd: repository,
      env: {
        NODE_COMPILE_CACHE: join(cacheFolder(), 'compile'),
        ...environment(sandbox.dir),
      },
    }),
    isReady: (log) => log.includes('worker is ready'),
  };
}
