import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  certificate,
  containersFolder,
  kubeconfigFile,
  kubernetesFolder,
} from '../kubernetes/kubeconfig.ts';
import type { Server } from '../server.ts';
import { repository } from '../setup/folders.mjs';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import { httpsStatus } from './probes.ts';

/**
 * kwok, which plays the kubelet: it makes pods ready, or not, as their image's tag says. `kubectl
 * exec` runs the command on this machine, in folders of the sandbox.
 */
export function kwok(sandbox: Sandbox, paths: ServerPaths): Server {
  const { dir, ports } = sandbox;
  const cwd = containersFolder(dir);
  const address = `https://127.0.0.1:${ports.kwok}`;
  return {
    name: 'kwok',
    address,
    after: ['kube-apiserver'],
    stopSignal: 'SIGTERM',
    command() {
      mkdirSync(cwd, { recursive: true });
      const { cert, key } = certificate(dir);
      return {
        file: paths.kwok,
        cwd,
        args: [
          `--config=${writeStages(sandbox)}`,
          `--kubeconfig=${kubeconfigFile(dir)}`,
          '--manage-all-nodes=true',
          '--node-ip=127.0.0.1',
          `--node-port=${ports.kwok}`,
          // Without it the node port would be open on every address of this machine.
          `--server-address=127.0.0.1:${ports.kwok}`,
          '--node-lease-duration-seconds=40',
          '--cidr=10.128.0.0/12',
          `--tls-cert-file=${cert}`,
          `--tls-private-key-file=${key}`,
        ],
      };
    },
    isReady: async () => (await httpsStatus(`${address}/healthz`)) === 200,
  };
}

/** Writes the stages with this sandbox's delay and kubelet port; returns the file. */
function writeStages({ dir, ports, readyMs }: Sandbox): string {
  const template = readFileSync(
    join(repository, 'sandbox', 'kubernetes', 'kwok-stages.yaml'),
    'utf8',
  );
  const file = join(kubernetesFolder(dir), 'kwok-stages.yaml');
  const values = { READY_MS: readyMs, KUBELET_PORT: ports.kubelet };
  writeFileSync(
    file,
    template.replace(/\$\{(READY_MS|KUBELET_PORT)\}/g, (_, name: keyof typeof values) =>
      String(values[name]),
    ),
  );
  return file;
}
