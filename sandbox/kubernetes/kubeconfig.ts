import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Sandbox } from '../state.ts';

/** Where Kubernetes keeps its data in a sandbox's folder. */
export function kubernetesFolder(dir: string): string {
  return join(dir, 'kubernetes');
}

/** Where the files of containers are, as far as commands that are run in them make any. */
export function containersFolder(dir: string): string {
  return join(kubernetesFolder(dir), 'containers');
}

/** The administrator's kubeconfig of a sandbox. */
export function kubeconfigFile(dir: string): string {
  return join(kubernetesFolder(dir), 'kubeconfig');
}

/** The certificate that the API server makes for itself, and its key. */
export function certificate(dir: string): { cert: string; key: string } {
  const folder = join(kubernetesFolder(dir), 'certs');
  return { cert: join(folder, 'apiserver.crt'), key: join(folder, 'apiserver.key') };
}

/** Writes the kubeconfig: context `sandbox`, namespace `production`. */
export function writeKubeconfig({ dir, ports, kubernetesToken }: Sandbox): void {
  const server = `https://127.0.0.1:${ports.apiserver}`;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'sandbox', cluster: { server, 'certificate-authority': certificate(dir).cert } },
    ],
    users: [{ name: 'admin', user: { token: kubernetesToken } }],
    contexts: [
      {
        name: 'sandbox',
        context: { cluster: 'sandbox', user: 'admin', namespace: 'production' },
      },
    ],
    'current-context': 'sandbox',
  };
  writeFileSync(kubeconfigFile(dir), stringify(config), { mode: 0o600 });
}
