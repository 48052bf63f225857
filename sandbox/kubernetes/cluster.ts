import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { httpsStatus } from '../servers/probes.ts';
import { repository } from '../setup/folders.mjs';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import { certificate, kubeconfigFile } from './kubeconfig.ts';

const run = promisify(execFile);

const wakalaDeployment = '/apis/apps/v1/namespaces/production/deployments/wakala-api';

/** Whether the API server is ready to serve. */
export async function isServing(sandbox: Sandbox): Promise<boolean> {
  return (await status(sandbox, '/readyz')) === 200;
}

/** Makes what every cluster of a sandbox has: the namespace `production` and a node. */
export async function applyCluster(sandbox: Sandbox, paths: ServerPaths): Promise<void> {
  await apply(sandbox, paths, join(repository, 'sandbox', 'kubernetes', 'cluster.yaml'));
}

/** Deploys Wakala's good version, unless it is there in whatever version; says whether it did. */
export async function deployWakala(sandbox: Sandbox, paths: ServerPaths): Promise<boolean> {
  if ((await status(sandbox, wakalaDeployment)) === 200) return false;
  await apply(sandbox, paths, join(repository, 'sandbox', 'wakala', 'manifests.yaml'));
  return true;
}

/** Waits until all replicas of Wakala are available. */
export async function awaitWakala(sandbox: Sandbox, paths: ServerPaths): Promise<void> {
  const seconds = 30 + Math.ceil(sandbox.readyMs / 1000);
  const args = ['rollout', 'status', 'deployment/wakala-api', `--timeout=${seconds}s`];
  await kubectl(sandbox, paths, ['--namespace=production', ...args]);
}

async function apply(sandbox: Sandbox, paths: ServerPaths, file: string): Promise<void> {
  await kubectl(sandbox, paths, ['apply', '--filename', file]);
}

async function kubectl({ dir }: Sandbox, paths: ServerPaths, args: string[]): Promise<void> {
  await run(paths.kubectl, ['--kubeconfig', kubeconfigFile(dir), ...args]);
}

function status({ dir, ports, kubernetesToken }: Sandbox, path: string): Promise<number> {
  return httpsStatus(`https://127.0.0.1:${ports.apiserver}${path}`, {
    token: kubernetesToken,
    ca: certificate(dir).cert,
  });
}
