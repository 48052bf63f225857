import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { cacheFolder } from './setup/folders.mjs';
import { withLock } from './setup/lock.mjs';

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

/**
 * Chooses free ports for a sandbox. All sandboxes of a user write down what they chose, because a
 * port that is free now may belong to a sandbox that is just about to start or stands still.
 */
export function claimPorts(dir: string): Promise<Record<PortName, number>> {
  return withLock('ports', async () => {
    const claims = livingClaims();
    const chosen = new Map<PortName, number>();
    let candidate = range.first + Math.floor(Math.random() * range.size);
    for (const name of portNames) {
      do {
        candidate = range.first + ((candidate + 1 - range.first) % range.size);
      } while (claims[candidate] !== undefined || !(await isFree(candidate)));
      claims[candidate] = dir;
      chosen.set(name, candidate);
    }
    writeClaims(claims);
    return Object.fromEntries(chosen) as Record<PortName, number>;
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
  return Object.fromEntries(Object.entries(claims).filter(([, dir]) => existsSync(dir)));
}

function writeClaims(claims: Record<string, string>): void {
  mkdirSync(dirname(claimsFile()), { recursive: true });
  writeFileSync(`${claimsFile()}.partial`, JSON.stringify(claims, null, 2));
  renameSync(`${claimsFile()}.partial`, claimsFile());
}

function claimsFile(): string {
  return join(cacheFolder(), 'ports.json');
}
