import { beforeAll } from '@jest/globals';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down, status, up } from '../../sandbox/sandbox.ts';

/** A Kubernetes cluster for one test file alone, whose servers may be hurt. */
export interface PrivateCluster {
  /** Sends a signal to a server, such as `kube-apiserver`. */
  signal(server: string, signal: NodeJS.Signals): void;
  /** Ends the cluster: to be called after everything that needs it. */
  down(): Promise<void>;
}

/** Starts the cluster before the tests of a file. To be called before `useRollbackEnvironment`. */
export function usePrivateCluster(): PrivateCluster {
  const dir = mkdtempSync(join(tmpdir(), 'rollback-cluster-'));
  beforeAll(async () => {
    const without = ['temporal', 'postgres', 'redis', 'wakala'] as const;
    Object.assign(process.env, await up({ dir, readyMs: 300, without }));
  });
  return {
    async down() {
      await down(dir);
    },
    signal(server, signal) {
      const found = status(dir).find(({ name }) => name === server);
      if (!found) throw new Error(`The cluster has no server ${server}.`);
      process.kill(found.pid, signal);
    },
  };
}
