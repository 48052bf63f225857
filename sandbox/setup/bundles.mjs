import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBundleFresh } from '../../bin/fresh-bundle.cjs';
import { cacheFolder, repository } from './folders.mjs';
import { withLock } from './lock.mjs';
import { runLogged } from './run.mjs';
import { say, sayWhile } from './say.mjs';

/** Bundles CLI, worker and workflows anew where a source is newer, so that they start fast. */
export async function ensureBundles() {
  if (isBundleFresh()) return;
  await withLock(`bundles ${repository}`, () => bundle(), {
    onWait: (pid) => say(`Waiting for process ${pid}, which bundles CLI and worker.`),
  });
}

async function bundle() {
  if (isBundleFresh()) return;
  await sayWhile('Bundling CLI, worker and workflows', 'a few seconds', async () => {
    const logs = join(cacheFolder(), 'logs');
    mkdirSync(logs, { recursive: true });
    const log = join(logs, 'bundle.log');
    writeFileSync(log, '');
    const node = join(repository, 'node_modules', 'node', 'bin', 'node');
    await runLogged(node, [join(repository, 'bin', 'bundle.mjs')], { cwd: repository, log });
  });
}
