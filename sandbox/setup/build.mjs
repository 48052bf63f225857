import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder, repository } from './folders.mjs';
import { requireGo } from './go.mjs';
import { runLogged } from './run.mjs';
import { sayWhile } from './say.mjs';

/**
 * Builds a group of servers from source. The folder appears only when it is whole, so an
 * interrupted build leaves nothing that could be taken for a server.
 * @param {import('./server-groups.mjs').ServerGroup} group
 * @param {string} folder where the binaries go
 */
export async function buildServers(group, folder) {
  const title = `${group.name} ${group.version}`;
  requireGo(group.go, `build ${title}`);
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const logs = join(cacheFolder(), 'logs');
  mkdirSync(logs, { recursive: true });
  const log = join(logs, `build-${group.name}.log`);
  writeFileSync(log, '');
  await sayWhile(`Building ${title}`, group.takes, () => compile(group, partial, log));
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
}

/**
 * @param {import('./server-groups.mjs').ServerGroup} group
 * @param {string} partial
 * @param {string} log
 */
async function compile(group, partial, log) {
  const packages = group.binaries.map((binary) => binary.package);
  const ldflags = `-ldflags=-s -w ${group.variables ?? ''}`.trimEnd();
  const env = { ...process.env, GOFLAGS: '-buildvcs=false', GOBIN: partial, GOWORK: 'off' };
  if (!group.module) {
    const versioned = packages.map((name) => `${name}@v${group.version}`);
    const args = ['install', '-trimpath', ldflags, ...versioned];
    await runLogged('go', args, { cwd: dirname(partial), env, log });
    return;
  }
  const cwd = join(repository, 'sandbox', 'servers', group.module);
  await runLogged('go', ['build', '-trimpath', ldflags, '-o', `${partial}/`, ...packages], {
    cwd,
    env,
    log,
  });
  // Go names a program after the last folder of its package, and etcd's is called `server`.
  renameSync(join(partial, 'server'), join(partial, 'etcd'));
}
