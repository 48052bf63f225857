import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '../server.ts';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';

/** Redis as a cache: it keeps nothing over a restart. */
export function redis({ dir, ports }: Sandbox, paths: ServerPaths): Server {
  const cwd = join(dir, 'redis');
  return {
    name: 'redis',
    address: `redis://127.0.0.1:${ports.redis}`,
    after: [],
    stopSignal: 'SIGTERM',
    command: () => {
      mkdirSync(cwd, { recursive: true });
      const port = String(ports.redis);
      const nothingKept = ['--save', '', '--appendonly', 'no'];
      const args = ['--bind', '127.0.0.1', '--port', port, '--dir', cwd, ...nothingKept];
      return { file: paths['redis-server'], cwd, args };
    },
    isReady: (log) => log.includes('Ready to accept connections'),
  };
}
