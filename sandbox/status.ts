import { isAlive, readRecords } from './records.ts';
import { canonicalFolder, defaultFolder } from './state.ts';

/** How a server is doing. */
export interface ServerStatus {
  readonly name: string;
  readonly pid: number;
  readonly address: string;
  /** `starting` is also one whose `up` was killed before it answered. */
  readonly state: 'running' | 'starting' | 'dead';
  readonly log: string;
}

/** The servers of a sandbox; none if it is not up. */
export function status(dir: string = defaultFolder()): ServerStatus[] {
  return readRecords(canonicalFolder(dir)).map((record) => ({
    name: record.name,
    pid: record.pid,
    address: record.address,
    state: !isAlive(record) ? 'dead' : record.ready ? 'running' : 'starting',
    log: record.log,
  }));
}

/** The status as a table for people. */
export function statusTable(servers: readonly ServerStatus[]): string {
  const header = ['NAME', 'PID', 'STATE', 'ADDRESS', 'LOG'];
  const cells = servers.map(({ name, pid, state, address, log }) => [
    name,
    String(pid),
    state,
    address,
    log,
  ]);
  const rows = [header, ...cells];
  const widths = header.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
