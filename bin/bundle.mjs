// Makes the bundles of CLI, worker and workflows; the set-up runs this whenever a source is newer.
import { renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger } from '@temporalio/worker';
import { build } from 'esbuild';
import { workflowBundle } from '../src/workers/workflow-bundle.ts';
import { fewerMessages } from './fewer-messages.mjs';
import { bundleFolder, bundleNames, repository } from './fresh-bundle.cjs';
import { warmUp } from './warm-up.mjs';

const kubernetesClient = '@kubernetes/client-node';

/**
 * Of the Kubernetes client only its configuration is used. The models beside it, a class for each
 * kind, cost a third of a second and 40 MB, and nothing happens by loading them.
 * @type {import('esbuild').Plugin}
 */
const withoutModels = {
  name: 'without-models',
  setup(bundler) {
    const inside = dirname(fileURLToPath(import.meta.resolve(kubernetesClient)));
    bundler.onResolve({ filter: /^(@kubernetes\/client-node|\.)/ }, (found) => {
      const isClient = found.path.startsWith(kubernetesClient);
      if (!isClient && !found.resolveDir.startsWith(inside)) return undefined;
      const path = isClient
        ? fileURLToPath(import.meta.resolve(found.path))
        : join(found.resolveDir, found.path);
      return { path, sideEffects: false };
    });
  },
};

/** @type {import('esbuild').BuildOptions} */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  logLevel: 'warning',
};

// First, because the others' age tells whether all of them are fresh.
await workflowBundle(new DefaultLogger('ERROR'));

// Two that bundle at once must not read each other's half of a folder.
const partial = `${bundleFolder}.${process.pid}`;
const cli = join(partial, bundleNames.cli);
await Promise.all([
  build({
    ...common,
    entryPoints: [join(repository, 'src/client/main.ts')],
    plugins: [withoutModels, fewerMessages],
    format: 'cjs',
    outfile: cli,
    minifyWhitespace: true,
    minifySyntax: true,
    charset: 'ascii',
    legalComments: 'external',
    // What packages in the new module format call themselves by.
    define: { 'import.meta.url': 'importMetaUrl', 'import.meta.dirname': '__dirname' },
    // As Node puts it around a CommonJS file: see bin/code-cache.cjs.
    banner: {
      js: `(function (exports, require, module, __filename, __dirname) {
const importMetaUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
    footer: { js: '});' },
  }),
  // The worker's own packages stay outside: the Temporal SDK has native code and threads.
  build({
    ...common,
    entryPoints: [join(repository, 'src/workers/main.ts')],
    plugins: [withoutModels],
    format: 'esm',
    outfile: join(partial, bundleNames.worker),
    packages: 'external',
  }),
]);
// It starts as well without, only slower.
await warmUp(cli).catch((error) => console.error(`The CLI will start slower: ${error.message}`));
rmSync(bundleFolder, { recursive: true, force: true });
renameSync(partial, bundleFolder);
