import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

/** Settings of a test, beside those that every worker needs. */
export interface OwnSettings {
  [part: string]: unknown;
  authority?: object;
  worker?: object;
}

/**
 * Writes a worker's settings into a new folder, with the sandbox's people in a file beside them, and
 * answers the path. What is given wins.
 */
export function writeSettings(own: OwnSettings): string {
  const folder = mkdtempSync(join(tmpdir(), 'rollback-settings-'));
  copyFileSync(process.env.ROLLBACK_PEOPLE ?? '', join(folder, 'people.yaml'));
  const file = join(folder, 'rollback.yaml');
  const settings = {
    ...own,
    authority: { people: 'people.yaml', ...own.authority },
    worker: { key: process.env.ROLLBACK_WORKER_KEY, ...own.worker },
  };
  writeFileSync(file, stringify(settings));
  return file;
}
