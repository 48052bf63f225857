import { join } from 'node:path';
import { certificate, containersFolder, kubeconfigFile } from '../kubernetes/kubeconfig.ts';
import type { Server } from '../server.ts';
import { cacheFolder, repository } from '../setup/folders.mjs';
import type { Sandbox } from '../state.ts';
import { databaseName } from './postgres.ts';

/** The Node that comes with the npm packages: the one that runs TypeScript as it is. */
export const runtime = join(repository, 'node_modules', 'node', 'bin', 'node');

/** The service of the example company, which stands for what its pods would run. */
export function wakala({ dir, ports, wakalaAdminToken }: Sandbox): Server {
  return {
    name: 'wakala',
    address: `http://127.0.0.1:${ports.wakala}`,
    after: ['kube-apiserver'],
    stopSignal: 'SIGTERM',
    command: () => ({
      file: runtime,
      args: [join(repository, 'sandbox', 'wakala', 'main.ts')],
      cwd: dir,
      env: {
        KUBECONFIG: kubeconfigFile(dir),
        DATABASE_URL: `postgres://postgres@127.0.0.1:${ports.postgres}/${databaseName}`,
        REDIS_URL: `redis://127.0.0.1:${ports.redis}`,
        NODE_COMPILE_CACHE: join(cacheFolder(), 'compile'),
        WAKALA_PORT: String(ports.wakala),
        WAKALA_ADMIN_TOKEN: wakalaAdminToken,
        WAKALA_KUBELET_PORT: String(ports.kubelet),
        WAKALA_KUBELET_CERT: certificate(dir).cert,
        WAKALA_KUBELET_KEY: certificate(dir).key,
        WAKALA_KWOK_PORT: String(ports.kwok),
        WAKALA_CONTAINERS: containersFolder(dir),
      },
    }),
    isReady: (log) => log.includes('wakala is ready'),
  };
}
