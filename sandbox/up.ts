import { applyCustomResources, awaitWakala, deployWakala } from './kubernetes/cluster.ts';
import { environment, type Environment } from './environment.ts';
import { ensurePeople } from './people.ts';
import { stopServer, stopUnrecorded } from './processes.ts';
import { linkPrograms } from './programs.ts';
import { readRecord, readRecords } from './records.ts';
import { serversOf, type Part } from './servers/all.ts';
import { findCustomResources } from './setup/custom-resources.mjs';
import { withLock } from './setup/lock.mjs';
import { findServers, type ServerPaths } from './setup/servers.mjs';
import { allReady, startServers, type Start } from './start.ts';
import {
  canonicalFolder,
  createSandbox,
  defaultFolder,
  readSandbox,
  writeSandbox,
  type Sandbox,
} from './state.ts';

/** How a sandbox is brought up. */
export interface UpOptions {
  /** The data folder; SANDBOX_DIR, else `.sandbox` of the repository. */
  readonly dir?: string;
  /** Starts a worker too. */
  readonly worker?: boolean;
  /** Milliseconds until a new pod is ready; as before where left out, and at first 1000. */
  readonly readyMs?: number;
  /** Parts that are not started. */
  readonly without?: readonly Part[];
  /** Told what happens, in lines for people. */
  readonly onLine?: (line: string) => void;
  /** Stops the start, and with it every server that it started. */
  readonly signal?: AbortSignal;
}

/**
 * Brings a sandbox up: starts what does not run and waits until everything answers. Where that
 * fails or is stopped, the servers that this call started are ended again.
 * @returns the variables with which to find it
 */
export async function up(options: UpOptions = {}): Promise<Environment> {
  const dir = canonicalFolder(options.dir ?? defaultFolder());
  const onLine = options.onLine ?? (() => {});
  return withLock(`sandbox ${dir}`, () => start(dir, options, onLine), {
    signal: options.signal,
    onWait: (pid) => onLine(`Waiting for process ${pid}, which starts or stops this sandbox.`),
  });
}

async function start(
  dir: string,
  options: UpOptions,
  onLine: (line: string) => void,
): Promise<Environment> {
  const paths = findServers();
  const sandbox = await prepare(dir, options.readyMs);
  linkPrograms(dir, paths);
  await ensurePeople(dir);
  const failed = new AbortController();
  const signals = [failed.signal, ...(options.signal ? [options.signal] : [])];
  const run: Start = { dir, onLine, started: [], signal: AbortSignal.any(signals) };
  try {
    await startEverything(run, sandbox, paths, options, failed);
  } catch (error) {
    // In the reverse order, so that servers go before what they need.
    for (const record of run.started.reverse()) await stopServer(dir, record);
    throw error;
  }
  return environment(dir);
}

/** Finds the sandbox of a folder or makes it, and sees to a changed delay of its pods. */
async function prepare(dir: string, readyMs: number | undefined): Promise<Sandbox> {
  const found = readSandbox(dir);
  if (!found) {
    // Whatever still runs here belongs to a folder that was deleted or damaged by hand.
    await Promise.all(readRecords(dir).map((record) => stopServer(dir, record)));
    await stopUnrecorded(dir);
  }
  const sandbox = found ?? (await createSandbox(dir));
  if (readyMs === undefined || readyMs === sandbox.readyMs) return sandbox;
  const kwok = readRecord(dir, 'kwok');
  if (kwok) await stopServer(dir, kwok);
  const changed = { ...sandbox, readyMs };
  writeSandbox(changed);
  return changed;
}

async function startEverything(
  run: Start,
  sandbox: Sandbox,
  paths: ServerPaths,
  options: UpOptions,
  failed: AbortController,
): Promise<void> {
  // A worker that was started once and died is one of the servers to start again.
  const worker = options.worker || readRecord(run.dir, 'worker') !== undefined;
  const servers = serversOf(sandbox, paths, { without: options.without ?? [], worker });
  const ready = startServers(run, servers);
  const deployed = deploy(ready, sandbox, paths, run);
  const defined = defineCustomResources(ready, sandbox, paths);
  const all = [...ready.values(), deployed, defined];
  // The first failure ends the others, which would otherwise wait for their time-out.
  for (const each of all) each.catch((error: unknown) => failed.abort(error));
  await Promise.allSettled(all);
  run.signal.throwIfAborted();
}

/** Makes the CustomResourceDefinitions of other people's tools once the API server is ready. */
async function defineCustomResources(
  ready: ReadonlyMap<string, Promise<void>>,
  sandbox: Sandbox,
  paths: ServerPaths,
): Promise<void> {
  if (!ready.has('kube-apiserver')) return;
  const definitions = findCustomResources();
  await ready.get('kube-apiserver');
  await applyCustomResources(sandbox, paths, definitions);
}

/** Deploys Wakala once the API server is ready, if it is not there, and waits for its pods. */
async function deploy(
  ready: ReadonlyMap<string, Promise<void>>,
  sandbox: Sandbox,
  paths: ServerPaths,
  { onLine }: Start,
): Promise<void> {
  if (!ready.has('wakala')) return;
  await ready.get('kube-apiserver');
  const deployedNow = await deployWakala(sandbox, paths);
  // One that a user deployed since then may never become available, and that is their business.
  if (!deployedNow && sandbox.wakalaDeployed) return;
  const others = ['kube-controller-manager', 'kube-scheduler', 'kwok'];
  await allReady(ready, others);
  await awaitWakala(sandbox, paths);
  writeSandbox({ ...sandbox, wakalaDeployed: true });
  onLine('Deployment wakala-api of namespace production is available.');
}
