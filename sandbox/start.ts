import { setTimeout as sleep } from 'node:timers/promises';
import { spawnServer } from './processes.ts';
import { isAlive, logEnd, logSinceStart, readRecord, writeRecord } from './records.ts';
import type { ServerRecord } from './records.ts';
import type { Server } from './server.ts';

const readyTimeoutMs = 60_000;

/** What goes on while servers are started. */
export interface Start {
  readonly dir: string;
  /** Ends the waiting for servers. */
  readonly signal: AbortSignal;
  /** Told one line for every server that was started, or found dead. */
  readonly onLine: (line: string) => void;
  /** Grows by every server that this start made. */
  readonly started: ServerRecord[];
}

/**
 * Starts servers, each as soon as those that it needs are ready; those that run already stay.
 * @returns for every server by name, when it is ready
 */
export function startServers(
  start: Start,
  servers: readonly Server[],
): ReadonlyMap<string, Promise<void>> {
  const ready = new Map<string, Promise<void>>();
  const begin = async (server: Server): Promise<void> => {
    // Every server has its promise in the map by the time that this goes on.
    await Promise.resolve();
    await allReady(ready, server.after);
    await startServer(start, server);
  };
  for (const server of servers) ready.set(server.name, begin(server));
  return ready;
}

/** Waits for servers by name; one that is not among those that are started is not waited for. */
export async function allReady(
  ready: ReadonlyMap<string, Promise<void>>,
  names: readonly string[],
): Promise<void> {
  await Promise.all(names.flatMap((name) => ready.get(name) ?? []));
}

async function startServer(start: Start, server: Server): Promise<void> {
  start.signal.throwIfAborted();
  const earlier = readRecord(start.dir, server.name);
  if (earlier?.ready && isAlive(earlier)) return;
  const began = Date.now();
  let record = earlier;
  if (!record || !isAlive(record)) {
    if (record?.ready) start.onLine(`${describeDeath(record)}\nStarting it again.`);
    record = await spawnServer(start.dir, server);
    start.started.push(record);
  }
  await awaitReady(start.signal, server, record);
  await server.finish?.();
  writeRecord(start.dir, { ...record, ready: true });
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  start.onLine(`${server.name.padEnd(24)} ${seconds.padStart(5)} s  ${server.address}`);
}

async function awaitReady(
  signal: AbortSignal,
  server: Server,
  record: ServerRecord,
): Promise<void> {
  const until = Date.now() + readyTimeoutMs;
  while (!(await server.isReady(logSinceStart(record)))) {
    signal.throwIfAborted();
    if (!isAlive(record)) throw new Error(describeDeath(record));
    if (Date.now() > until) {
      throw new Error(
        `${server.name} runs, but does not answer on ${server.address} after ` +
          `${readyTimeoutMs / 1000} s; the last lines of ${record.log}:\n${indentedEnd(record)}`,
      );
    }
    await sleep(50);
  }
  // Something else may have answered, which holds the server's port.
  if (!isAlive(record)) throw new Error(describeDeath(record));
}

/** Says that a server is dead, and the last lines of its log. */
export function describeDeath(record: ServerRecord): string {
  return (
    `${record.name} (pid ${record.pid}) has died; the last lines of ${record.log}:\n` +
    indentedEnd(record)
  );
}

function indentedEnd(record: ServerRecord): string {
  return logEnd(record, 10).replace(/^/gm, '  ');
}
