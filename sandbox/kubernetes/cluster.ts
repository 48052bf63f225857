import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { httpsStatus } from '../servers/probes.ts';
import { repository } from '../setup/folders.mjs';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import { certificate, kubeconfigFile } from './kubeconfig.ts';

const run = promisify(execFile);

const servedTimeoutMs = 30_000;

const wakalaDeployment = '/apis/apps/v1/namespaces/production/deployments/wakala-api';

/** Whether the API server is ready to serve. */
export async function isServing(sandbox: Sandbox): Promise<boolean> {
  return (await status(sandbox, '/readyz')) === 200;
}

/** Makes what every cluster of a sandbox has: the namespace `production` and a node. */
export async function applyCluster(sandbox: Sandbox, paths: ServerPaths): Promise<void> {
  await apply(sandbox, paths, join(repository, 'sandbox', 'kubernetes', 'cluster.yaml'));
}

/**
 * Makes those of the CustomResourceDefinitions that are not there, in whatever version, and waits
 * until the API server lists the objects of all: it answers the first request for each with 429,
 * while it makes their storage.
 * @param definitions files by the name of the definition
 */
export async function applyCustomResources(
  sandbox: Sandbox,
  paths: ServerPaths,
  definitions: ReadonlyMap<string, string>,
): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const names = [...definitions.keys()];
  const found = await Promise.all(names.map((name) => status(sandbox, `${path}/${name}`)));
  const missing = [...definitions].filter((_, index) => found[index] !== 200);
  if (missing.length > 0) {
    const files = missing.map(([, file]) => `--filename=${file}`);
    // Some are too large for the annotation in which a client-side apply keeps them.
    await kubectl(sandbox, paths, ['apply', '--server-side', ...files]);
  }
  const until = Date.now() + servedTimeoutMs;
  // Not `kubectl wait --for=condition=Established`, which takes 1.5 s where all of them are.
  for (let waiting = names; ; await sleep(100)) {
    const addresses = await listAddresses(sandbox, paths);
    const listed = await Promise.all(
      waiting.map(async (name) => {
        const address = addresses.get(name);
        return address !== undefined && (await status(sandbox, `${address}?limit=1`)) === 200;
      }),
    );
    waiting = waiting.filter((_, index) => !listed[index]);
    if (waiting.length === 0) return;
    if (Date.now() > until) {
      throw new Error(
        `The API server does not serve ${waiting.join(', ')} ${servedTimeoutMs / 1000} s after ` +
          'they were defined; `kubectl describe crd` says why.',
      );
    }
  }
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

/** Where the API server lists what it serves in groups, by names such as `deployments.apps`. */
async function listAddresses(sandbox: Sandbox, paths: ServerPaths): Promise<Map<string, string>> {
  // Fails while one API group does not answer, having printed what the others serve.
  const args = ['api-resources', '--no-headers'];
  const printed = await kubectl(sandbox, paths, args).catch(
    (failure: { stdout?: string }) => failure.stdout ?? '',
  );
  return new Map(
    [...printed.matchAll(/^(\S+) .*?\s(\S+)\/(\S+)\s+(?:true|false)\s/gm)].map(
      ([, plural, group, version]) => [`${plural}.${group}`, `/apis/${group}/${version}/${plural}`],
    ),
  );
}

/** stdout of kubectl. */
async function kubectl({ dir }: Sandbox, paths: ServerPaths, args: string[]): Promise<string> {
  const { stdout } = await run(paths.kubectl, ['--kubeconfig', kubeconfigFile(dir), ...args]);
  return stdout;
}

function status({ dir, ports, kubernetesToken }: Sandbox, path: string): Promise<number> {
  return httpsStatus(`https://127.0.0.1:${ports.apiserver}${path}`, {
    token: kubernetesToken,
    ca: certificate(dir).cert,
  });
}
