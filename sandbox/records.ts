import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { startOf } from './setup/process-identity.mjs';

const recordSchema = z.object({
  name: z.string(),
  pid: z.int().positive(),
  /** When the process started: a pid alone may by now be somebody else's. */
  start: z.string(),
  /** What asks this server to end. */
  stopSignal: z.enum(['SIGINT', 'SIGTERM']),
  address: z.string(),
  log: z.string(),
  /** Length of the log in bytes when this process was started. */
  logStart: z.int(),
  /** Whether it answered, and all that must be done once it answers was done. */
  ready: z.boolean(),
});

/** What is written down about a server as soon as its process exists. */
export type ServerRecord = z.infer<typeof recordSchema>;

/** Whether the process of a record still runs. */
export function isAlive(record: ServerRecord): boolean {
  return startOf(record.pid) === record.start;
}

/** Every server of a sandbox's folder, sorted by name; unreadable records count as absent. */
export function readRecords(dir: string): ServerRecord[] {
  if (!existsSync(folder(dir))) return [];
  const names = readdirSync(folder(dir)).filter((name) => name.endsWith('.json'));
  return names.sort().flatMap((name) => readRecord(dir, name.slice(0, -'.json'.length)) ?? []);
}

/** The record of one server. */
export function readRecord(dir: string, name: string): ServerRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(file(dir, name), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Writes a record; a reader never sees half of it. */
export function writeRecord(dir: string, record: ServerRecord): void {
  mkdirSync(folder(dir), { recursive: true });
  const partial = `${file(dir, record.name)}.partial`;
  writeFileSync(partial, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(partial, file(dir, record.name));
}

/** Forgets a server. */
export function removeRecord(dir: string, name: string): void {
  rmSync(file(dir, name), { force: true });
}

/** What a server has logged since it was last started. */
export function logSinceStart(record: ServerRecord): string {
  return readFrom(record.log, record.logStart);
}

/** The last lines of a server's log. */
export function logEnd(record: ServerRecord, lines: number): string {
  const tail = readFrom(record.log, -64 * 1024);
  return tail.trimEnd().split('\n').slice(-lines).join('\n');
}

/** The text of a file from an offset on; a negative offset counts from the end. */
function readFrom(path: string, offset: number): string {
  if (!existsSync(path)) return '';
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const from = offset < 0 ? Math.max(0, size + offset) : Math.min(offset, size);
    const buffer = Buffer.alloc(size - from);
    readSync(descriptor, buffer, 0, buffer.length, from);
    return buffer.toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

function folder(dir: string): string {
  return join(dir, 'servers');
}

function file(dir: string, name: string): string {
  return join(folder(dir), `${name}.json`);
}
