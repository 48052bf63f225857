/** A dump archive, as `pg_restore --list` tells it. */
import { readdir, stat } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/common';
import { execa } from 'execa';
import { join } from 'node:path';
import { failureTypes } from '../../../contract/failures.ts';
import { hashOf } from '../../../contract/digest.ts';
import { printable } from '../../../contract/printable.ts';
import { refused } from '../../failures.ts';
import { programPath } from '../run-program.ts';
import type { DumpReference } from './restore-change.ts';

export interface Archive extends DumpReference {
  path: string;
  /** Database that was dumped. */
  database: string;
  /** Version of the server that it was dumped from, such as 15. */
  major: number;
  /** Version of the pg_dump that made it. */
  madeBy: number;
  entries: ArchiveEntry[];
}

export interface ArchiveEntry {
  id: number;
  /** `TABLE DATA`, `INDEX`, `CONSTRAINT` ... */
  kind: string;
  /** Schema and name. */
  name: string;
  /** Last word of its owner, who may have several; empty where it has none. */
  owner: string;
}

/**
 * Reads what is in an archive.
 * @throws Refused where it is none, or cannot be read.
 */
export async function readArchive(
  folder: string,
  backup: string,
  programs: string | undefined,
): Promise<Archive> {
  const path = join(folder, backup);
  const pgRestore = programPath('pg_restore', programs);
  const { stdout, stderr, failed, code } = await execa(pgRestore, ['--list', path], {
    ...{ stdin: 'ignore', reject: false, timeout: 15_000, env: { LC_ALL: 'C' } },
    maxBuffer: 256 * 1024 * 1024,
  });
  if (code === 'ENOENT') {
    throw ApplicationFailure.nonRetryable(
      `${pgRestore} is not on this worker: install PostgreSQL's client programs there, or name their folder in backups.programs of the settings.`,
      failureTypes.rejectedBySystem,
    );
  }
  if (failed) {
    const why = printable(stderr.replace(/^pg_restore: error: /gm, '').trim());
    throw refused(`Backup ${path} is no archive that can be restored: ${why}.`);
  }
  const header = (name: string) => new RegExp(`^; +${name}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  const { bytes, modifiedAt } = await sizeOf(path);
  return {
    ...{ backup, path, bytes, modifiedAt: modifiedAt.toISOString() },
    contents: hashOf(stdout),
    database: header('dbname'),
    major: Number.parseInt(header('Dumped from database version'), 10),
    madeBy: Number.parseInt(header('Dumped by pg_dump version'), 10),
    entries: entriesOf(stdout),
  };
}

/** The same archive as planned? */
export function isSameArchive(one: DumpReference, other: DumpReference): boolean {
  return (
    one.contents === other.contents &&
    one.bytes === other.bytes &&
    one.modifiedAt === other.modifiedAt
  );
}

/** Bytes and latest change of the file, or of all files in the folder. */
async function sizeOf(path: string): Promise<{ bytes: number; modifiedAt: Date }> {
  const file = await stat(path);
  const names = file.isFile() ? [] : await readdir(path);
  const files = file.isFile()
    ? [file]
    : await Promise.all(names.map((name) => stat(join(path, name))));
  return {
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    modifiedAt: new Date(Math.max(...files.map(({ mtimeMs }) => mtimeMs))),
  };
}

const entryPattern = /^(\d+); \d+ \d+ (TABLE DATA|[A-Z][A-Z ]*?) (\S.*)$/;

/** Lines such as `3345; 0 16386 TABLE DATA public orders postgres`. */
function entriesOf(list: string): ArchiveEntry[] {
  return list.split('\n').flatMap((line) => {
    const [, id, kind = '', rest = ''] = entryPattern.exec(line) ?? [];
    if (id === undefined) return [];
    // The owner comes last, and a name may have spaces.
    const words = rest.split(' ');
    const owner = words.pop() ?? '';
    return [{ id: Number(id), kind, name: words.join(' '), owner }];
  });
}
