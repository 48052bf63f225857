import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { releasePorts } from './ports.ts';
import { stopServer, stopUnrecorded } from './processes.ts';
import { isAlive, readRecords } from './records.ts';
import { withLock } from './setup/lock.mjs';
import {
  canonicalFolder,
  defaultFolder,
  isSandboxFolder,
  postgresFolder,
  readSandbox,
} from './state.ts';

/** How a sandbox is taken down. */
export interface DownOptions {
  /** Keeps the data folder, for another `up`. */
  readonly keepData?: boolean;
  /** Ends these servers only, and keeps the data. */
  readonly only?: readonly string[];
  /** Told what happens, in lines for people. */
  readonly onLine?: (line: string) => void;
}

/** These go last, in this order: the others want to say goodbye to them. */
const last = ['kube-apiserver', 'etcd'];

/**
 * Ends every server that was started for a sandbox, whatever state it is in, and removes its data.
 * @returns the names of the servers that were running, for people
 */
export async function down(
  dir: string = defaultFolder(),
  { keepData = false, only, onLine = () => {} }: DownOptions = {},
): Promise<string[]> {
  const folder = canonicalFolder(dir);
  return withLock(
    `sandbox ${folder}`,
    async () => {
      const all = readRecords(folder);
      const records = only ? all.filter(({ name }) => only.includes(name)) : all;
      const running = records.filter(isAlive).map(({ name }) => name);
      const first = records.filter(({ name }) => !last.includes(name));
      await Promise.all(first.map((record) => stopServer(folder, record)));
      for (const name of last) {
        const record = records.find((each) => each.name === name);
        if (record) await stopServer(folder, record);
      }
      if (only) return running;
      const strays = await stopUnrecorded(folder);
      if (!keepData) await removeData(folder);
      return strays > 0 ? [...running, `${strays} processes without a record`] : running;
    },
    { onWait: (pid) => onLine(`Waiting for process ${pid}, which starts or stops this sandbox.`) },
  );
}

async function removeData(dir: string): Promise<void> {
  const folder = readSandbox(dir)?.postgresFolder ?? postgresFolder(dir);
  if (folder.startsWith(tmpdir())) rmSync(folder, { recursive: true, force: true });
  if (isSandboxFolder(dir)) rmSync(dir, { recursive: true, force: true });
  await releasePorts(dir);
}
