import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binFolder } from './environment.ts';
import { repository } from './setup/folders.mjs';
import type { ServerPaths } from './setup/servers.mjs';

/** Puts the programs that go with a sandbox into one folder, for PATH. */
export function linkPrograms(dir: string, paths: ServerPaths): void {
  const folder = binFolder(dir);
  mkdirSync(folder, { recursive: true });
  const postgres = (name: string): [string, string] => [name, join(paths['postgres-folder'], name)];
  const programs = new Map([
    ['kubectl', paths.kubectl],
    ['helm', paths.helm],
    ['temporal', paths.temporal],
    // Backups must be made and read by programs of the server's own version.
    ...['psql', 'pg_dump', 'pg_restore', 'vacuumdb', 'pg_basebackup'].map(postgres),
    ...['postgres', 'pg_ctl', 'pg_isready', 'pg_controldata', 'pg_verifybackup'].map(postgres),
  ]);
  for (const [name, target] of programs) {
    const link = join(folder, name);
    if (existsSync(link)) continue;
    // Also takes away a link that points to nothing any more.
    rmSync(link, { force: true });
    symlinkSync(target, link);
  }
  // Not a link: following one would cost the CLI another process at each start.
  const rollback = join(folder, 'rollback');
  const target = join(repository, 'bin', 'rollback').replaceAll("'", `'\\''`);
  writeFileSync(rollback, `#!/bin/sh\nexec '${target}' "$@"\n`);
  chmodSync(rollback, 0o755);
}
