import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { cacheFolder } from './setup/folders.mjs';
import { withLock } from './setup/lock.mjs';
import { startOf } from './setup/process-identity.mjs';

/** Every port of a sandbox. */
export const portNames = [
  'temporal',
  'temporalUi',
  'temporalHttp',
  'temporalMetrics',
  'etcd',
  'etcdPeer',
  'apiserver',
  'controllerManager',
  'scheduler',
  'kwok',
  'kubelet',
  'postgres',
  'redis',
  'wakala',
  'workerMetrics',
] as const;

export type PortName = (typeof portNames)[number];

/** Below the range from which systems give outgoing connections their ports, on Linux and macOS. */
const range = { first: 20_000, size: 10_000 };

const claimsSchema = z.record(z.string(), z.string());

/** Chooses free ports for the sandbox in a folder; they are its own as long as the folder is there. */
export async function claimPorts(dir: string): Promise<Record<PortName, number>> {
  const ports = await claim(dir, portNames.length);
  return Object.fromEntries(portNames.map((name, index) => [name, ports[index]])) as Record<
    PortName,
    number
  >;
}

/** Chooses free ports for servers that this process starts beside a sandbox; its own until it ends. */
export function claimOwnPorts(count: number): Promise<number[]> {
  return claim(`process ${process.pid} ${startOf(process.pid)}`, count);
}

/**
 * Whoever starts servers writes down which ports they will have: one that is free now may be that of a
 * server that is just about to start, or stands still.
 */
function claim(owner: string, count: number): Promise<number[]> {
  return withLock('ports', async () => {
    const claims = livingClaims();
    const chosen: number[] = [];
    let candidate = range.first + Math.floor(Math.random() * range.size);
    while (chosen.length < count) {
      candidate = range.first + ((candidate + 1 - range.first) % range.size);
      if (claims[candidate] !== undefined || !(await isFree(candidate))) continue;
      claims[candidate] = owner;
      chosen.push(candidate);
    }
    writeClaims(claims);
    return chosen;
  });
}

/** Gives the ports of a sandbox back. */
export function releasePorts(dir: string): Promise<void> {
  return withLock('ports', () => {
    const others = Object.entries(livingClaims()).filter(([, owner]) => owner !== dir);
    writeClaims(Object.fromEntries(others));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function livingClaims(): Record<string, string> {
  const claims = existsSync(claimsFile())
    ? claimsSchema.parse(JSON.parse(readFileSync(claimsFile(), 'utf8')))
    : {};
  return Object.fromEntries(Object.entries(claims).filter(([, owner]) => isThere(owner)));
}

/** Whether the process or the folder is there that a port was given to. */
function isThere(owner: string): boolean {
  const [, pid, start] = /^process (\d+) (.*)$/.exec(owner) ?? [];
  return pid === undefined ? existsSync(owner) : startOf(Number(pid)) === start;
}

function writeClaims(claims: Record<string, string>): void {
  mkdirSync(dirname(claimsFile()), { recursive: true });
  writeFileSync(`${claimsFile()}.partial`, JSON.stringify(claims, null, 2));
  renameSync(`${claimsFile()}.partial`, claimsFile());
}

function claimsFile(): string {
  return join(cacheFolder(), 'ports.json');
}
