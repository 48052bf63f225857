import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '../server.ts';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import { kubernetesFolder, writeKubeconfig } from '../kubernetes/kubeconfig.ts';
import { applyCluster, isServing } from '../kubernetes/cluster.ts';
import { answers, httpsStatus } from './probes.ts';

/** Controllers and scheduler must not be what a rollout waits for: their defaults are 20 and 50. */
const generousLimits = ['--kube-api-qps=200', '--kube-api-burst=400'];

/** A Kubernetes control plane without containers: etcd, API server, controllers, scheduler. */
export function controlPlane(sandbox: Sandbox, paths: ServerPaths): Server[] {
  return [
    etcd(sandbox, paths),
    apiserver(sandbox, paths),
    controllerManager(sandbox, paths),
    scheduler(sandbox, paths),
  ];
}

function etcd({ dir, ports }: Sandbox, paths: ServerPaths): Server {
  const address = `http://127.0.0.1:${ports.etcd}`;
  return {
    name: 'etcd',
    address,
    after: [],
    stopSignal: 'SIGTERM',
    command: () => ({
      file: paths.etcd,
      cwd: dir,
      args: [
        `--data-dir=${join(kubernetesFolder(dir), 'etcd')}`,
        `--listen-client-urls=${address}`,
        `--advertise-client-urls=${address}`,
        `--listen-peer-urls=http://127.0.0.1:${ports.etcdPeer}`,
        '--unsafe-no-fsync',
        '--log-level=error',
      ],
    }),
    isReady: () => answers(`${address}/health`),
  };
}

function apiserver(sandbox: Sandbox, paths: ServerPaths): Server {
  const { dir, ports, kubernetesToken } = sandbox;
  const folder = kubernetesFolder(dir);
  return {
    name: 'kube-apiserver',
    address: `https://127.0.0.1:${ports.apiserver}`,
    after: ['etcd'],
    stopSignal: 'SIGTERM',
    command() {
      mkdirSync(folder, { recursive: true });
      const key = serviceAccountKey(dir);
      const tokens = join(folder, 'tokens.csv');
      writeFileSync(tokens, `${kubernetesToken},admin,admin,system:masters\n`, { mode: 0o600 });
      writeKubeconfig(sandbox);
      const issuer = '--service-account-issuer=https://kubernetes.default.svc';
      return {
        file: paths['kube-apiserver'],
        cwd: dir,
        args: [
          `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
          '--bind-address=127.0.0.1',
          '--advertise-address=127.0.0.1',
          `--secure-port=${ports.apiserver}`,
          `--cert-dir=${join(folder, 'certs')}`,
          `--token-auth-file=${tokens}`,
          '--authorization-mode=RBAC',
          issuer,
          `--service-account-key-file=${key}`,
          `--service-account-signing-key-file=${key}`,
          '--service-cluster-ip-range=10.96.0.0/16',
          '--endpoint-reconciler-type=none',
          // The node's name resolves nowhere; its kubelet is on 127.0.0.1.
          '--kubelet-preferred-address-types=InternalIP',
          '--v=1',
        ],
      };
    },
    isReady: () => isServing(sandbox),
    finish: () => applyCluster(sandbox, paths),
  };
}

function controllerManager({ dir, ports }: Sandbox, paths: ServerPaths): Server {
  const health = `https://127.0.0.1:${ports.controllerManager}`;
  return {
    name: 'kube-controller-manager',
    address: health,
    after: ['kube-apiserver'],
    stopSignal: 'SIGTERM',
    command: () => ({
      file: paths['kube-controller-manager'],
      cwd: dir,
      args: [
        ...clientOf(dir),
        `--secure-port=${ports.controllerManager}`,
        `--service-account-private-key-file=${serviceAccountKey(dir)}`,
        '--use-service-account-credentials=true',
        // No node is ever lost here; after a pause of its own it would take all of them for lost.
        '--node-monitor-grace-period=24h',
        ...generousLimits,
      ],
    }),
    isReady: async () => (await httpsStatus(`${health}/healthz`)) === 200,
  };
}

function scheduler({ dir, ports }: Sandbox, paths: ServerPaths): Server {
  const health = `https://127.0.0.1:${ports.scheduler}`;
  return {
    name: 'kube-scheduler',
    address: health,
    after: ['kube-apiserver'],
    stopSignal: 'SIGTERM',
    command: () => ({
      file: paths['kube-scheduler'],
      cwd: dir,
      args: [...clientOf(dir), `--secure-port=${ports.scheduler}`, ...generousLimits],
    }),
    isReady: async () => (await httpsStatus(`${health}/healthz`)) === 200,
  };
}

/** What controllers and scheduler have in common: one of each, and no way in from outside. */
function clientOf(dir: string): string[] {
  return [
    `--kubeconfig=${join(kubernetesFolder(dir), 'kubeconfig')}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    '--authentication-skip-lookup',
  ];
}

/** The key that service account tokens are signed with; made once. */
function serviceAccountKey(dir: string): string {
  const file = join(kubernetesFolder(dir), 'service-account.key');
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, privateKey.export({ format: 'pem', type: 'sec1' }), { mode: 0o600 });
  }
  return file;
}
