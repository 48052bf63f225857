import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildServers } from './build.mjs';
import { cacheFolder } from './folders.mjs';
import { goArch } from './go.mjs';
import { withLock } from './lock.mjs';
import { onPath } from './run.mjs';
import { say } from './say.mjs';
import { serverGroups } from './server-groups.mjs';
import { findPostgres } from './system-packages.mjs';
import { atLeast, versionOf } from './versions.mjs';

/**
 * Where every program of the sandbox lies.
 * @typedef {object} ServerPaths
 * @property {string} etcd
 * @property {string} kube-apiserver
 * @property {string} kube-controller-manager
 * @property {string} kube-scheduler
 * @property {string} kubectl
 * @property {string} temporal
 * @property {string} kwok
 * @property {string} helm
 * @property {string} redis-server
 * @property {string} postgres-folder PostgreSQL's programs: postgres, initdb, psql, pg_dump ...
 */

/** Builds the servers that are neither in the user's cache nor, new enough, on PATH. */
export async function ensureServers() {
  for (const group of serverGroups) {
    if (findGroup(group)) continue;
    const folder = builtFolder(group);
    await withLock(
      `build ${folder}`,
      async () => {
        if (findGroup(group)) return;
        mkdirSync(join(cacheFolder(), 'servers'), { recursive: true });
        await buildServers(group, folder);
      },
      { onWait: (pid) => say(`Waiting for process ${pid}, which builds ${group.name}.`) },
    );
  }
}

/**
 * Finds every program of the sandbox.
 * @returns {ServerPaths} throws when one is missing
 */
export function findServers() {
  /** @type {Record<string, string>} */
  const paths = {};
  for (const group of serverGroups) {
    const found = findGroup(group);
    if (!found) throw missing(group.name);
    Object.assign(paths, found);
  }
  const redis = onPath('redis-server');
  const postgres = findPostgres();
  if (!redis) throw missing('redis-server');
  if (!postgres) throw missing('postgres');
  const all = { ...paths, 'redis-server': redis, 'postgres-folder': postgres };
  return /** @type {ServerPaths} */ (/** @type {unknown} */ (all));
}

/** @param {string} name */
function missing(name) {
  return new Error(`${name} is not installed for the sandbox; run \`npm run setup\` to get it.`);
}

/** @param {import('./server-groups.mjs').ServerGroup} group */
function builtFolder({ name, version }) {
  return join(cacheFolder(), 'servers', `${name}-${version}-${process.platform}-${goArch}`);
}

/**
 * @param {import('./server-groups.mjs').ServerGroup} group
 * @returns {Record<string, string> | undefined} undefined unless all of the group is there
 */
function findGroup(group) {
  const built = builtFolder(group);
  return (
    collect(group, ({ name }) => {
      const path = join(built, name);
      return existsSync(path) ? path : undefined;
    }) ??
    collect(group, ({ name, ask, answer, least }) => {
      const path = onPath(name);
      const version = path && versionOf(path, ask, answer);
      return version && atLeast(version, least) ? path : undefined;
    })
  );
}

/**
 * @param {import('./server-groups.mjs').ServerGroup} group
 * @param {(binary: import('./server-groups.mjs').ServerBinary) => string | undefined} find
 */
function collect(group, find) {
  /** @type {Record<string, string>} */
  const paths = {};
  for (const binary of group.binaries) {
    const path = find(binary);
    if (!path) return undefined;
    paths[binary.name] = path;
  }
  return paths;
}
