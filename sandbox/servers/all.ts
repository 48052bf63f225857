import type { Server } from '../server.ts';
import type { ServerPaths } from '../setup/servers.mjs';
import type { Sandbox } from '../state.ts';
import { controlPlane } from './control-plane.ts';
import { kwok } from './kwok.ts';
import { postgres } from './postgres.ts';
import { redis } from './redis.ts';
import { temporal } from './temporal.ts';
import { wakala } from './wakala.ts';
import { worker } from './worker.ts';

/** Parts of a sandbox that can be left out. */
export type Part = 'temporal' | 'kubernetes' | 'postgres' | 'redis' | 'wakala';

/** Which servers a sandbox has. */
export interface Selection {
  readonly without: readonly Part[];
  readonly worker: boolean;
}

/** The servers of a sandbox. Wakala lives in the cluster, so it is left out together with it. */
export function serversOf(
  sandbox: Sandbox,
  paths: ServerPaths,
  { without, worker: withWorker }: Selection,
): Server[] {
  const has = (part: Part) => !without.includes(part);
  const servers: Server[] = [];
  if (has('temporal')) servers.push(temporal(sandbox, paths));
  if (has('postgres')) servers.push(postgres(sandbox, paths));
  if (has('redis')) servers.push(redis(sandbox, paths));
  if (has('kubernetes')) servers.push(...controlPlane(sandbox, paths), kwok(sandbox, paths));
  if (has('kubernetes') && has('wakala')) servers.push(wakala(sandbox));
  if (withWorker) {
    const needed = ['temporal', 'kube-apiserver', 'postgres', 'redis'];
    const names = servers.map(({ name }) => name).filter((name) => needed.includes(name));
    servers.push(worker(sandbox, names));
  }
  return servers;
}
