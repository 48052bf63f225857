import {
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './folders.mjs';
import { ask } from './run.mjs';

/**
 * Whether a dotted version is at least another.
 * @param {string} version
 * @param {string} least
 */
export function atLeast(version, least) {
  const have = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  for (const [index, wanted] of least.split('.').map(Number).entries()) {
    const part = have[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

/**
 * The version that a binary tells, remembered as long as the file stays the same: asking each
 * one takes a quarter of a second.
 * @param {string} path
 * @param {string[]} args
 * @param {RegExp} pattern its first group is the version
 * @returns {string | undefined}
 */
export function versionOf(path, args, pattern) {
  const file = realpathSync(path);
  const { mtimeMs, size } = statSync(file);
  const key = `${file} ${mtimeMs} ${size}`;
  const known = readKnown();
  const version = known[key] ?? pattern.exec(ask(file, args) ?? '')?.[1];
  if (version && !known[key]) remember({ ...known, [key]: version });
  return version;
}

const memory = () => join(cacheFolder(), 'versions.json');

/** @returns {Record<string, string>} */
function readKnown() {
  try {
    return JSON.parse(readFileSync(memory(), 'utf8'));
  } catch {
    return {};
  }
}

/** @param {Record<string, string>} known */
function remember(known) {
  mkdirSync(cacheFolder(), { recursive: true });
  const partial = `${memory()}.${process.pid}`;
  writeFileSync(partial, JSON.stringify(known, null, 2));
  renameSync(partial, memory());
}
