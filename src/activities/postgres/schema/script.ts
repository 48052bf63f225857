/** Scripts of migrations: what is in them, and what keeps them from running in a transaction. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { refused } from '../../failures.ts';
import { replaceParts } from '../sql-parts.ts';
import type { Script } from './tools.ts';

export interface ScriptText {
  file: string;
  sql: string;
  /** SHA-256 of the SQL. */
  sha256: string;
}

/** @throws Refused where the folder cannot be read. */
export async function listScripts(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith('.sql'));
  } catch (error) {
    throw refused(
      `Folder ${folder} of scripts cannot be read on this worker (${(error as NodeJS.ErrnoException).code}): mount it, or name another in the database's schema.folder.`,
    );
  }
}

export async function readScript(folder: string, { file, part }: Script): Promise<ScriptText> {
  const text = await readFile(join(folder, file), 'utf8');
  const sql = part === undefined ? text : halfOf(text, part);
  return { file, sql, sha256: createHash('sha256').update(sql).digest('hex') };
}

/** node-pg-migrate's `-- Up Migration` and `-- Down Migration`. */
function halfOf(text: string, part: 'up' | 'down'): string {
  const marks = [...text.matchAll(/^\s*--[\s-]*(up|down)\s+migration.*$/gim)];
  const mark = marks.find(([, word]) => word?.toLowerCase() === part);
  if (!mark) return '';
  const next = marks.find(({ index }) => index > mark.index);
  return text.slice(mark.index, next?.index);
}

/** A script without comments and with nothing in its strings and function bodies, of either kind. */
function barred(sql: string): string {
  return replaceParts(sql, ' ? ', (name) => name.replace(/[;\s\\]/g, '_')).replace(
    /(\bcreate\s[^;]*?)\bbegin\s+atomic\b(?:[^;]*;)*?\s*end\b/gi,
    '$1 ?',
  );
}

function statementsOf(sql: string): string[] {
  return barred(sql)
    .split(';')
    .map((statement) => statement.replace(/\s+/g, ' ').trim())
    .filter((statement) => statement !== '');
}

const ownTransaction =
  /^(begin|start transaction|commit|end|rollback|abort|prepare transaction)\b(?! to\b)/i;
const outside = [
  /^(?!refresh\b).*\bconcurrently\b/i,
  /^vacuum\b/i,
  /^alter system\b/i,
  /^(create|drop) (database|tablespace)\b/i,
  /^reindex (\(.*?\) )?(database|system|schema)\b/i,
];

/** Why a script cannot run in a transaction of ours, in words; undefined where it can. */
export function whyNotInTransaction(sql: string): string | undefined {
  if (barred(sql).includes('\\')) return 'it has commands of psql, which only psql understands';
  for (const statement of statementsOf(sql)) {
    const shown = statement.slice(0, 80);
    if (ownTransaction.test(statement)) return `it begins or ends transactions itself (${shown})`;
    if (/^copy .* from stdin\b/i.test(statement)) return `it reads rows of its own (${shown})`;
    if (outside.some((pattern) => pattern.test(statement))) {
      return `PostgreSQL does not do this in a transaction: ${shown}`;
    }
  }
  return undefined;
}

const losing = [
  /^(drop (table|schema|materialized view|owned|extension)|truncate|delete)\b/i,
  /^drop (type|domain)\b.*\bcascade\b/i,
  /^with\b.*\bdelete from\b/i,
  /^merge\b.*\bthen delete\b/i,
  /^alter table\b.*\bdrop (column\b|(?!constraint|default|not|identity|expression)\w)/i,
];

/** What of a script throws rows away, a sentence each. */
export function losses(sql: string): string[] {
  return statementsOf(sql)
    .filter((statement) => losing.some((pattern) => pattern.test(statement)))
    .map((statement) => statement.slice(0, 120));
}
