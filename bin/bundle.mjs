// Makes the bundles of CLI, worker and workflows; the set-up runs this whenever a source is newer.
import { createRequire } from 'node:module';
import { renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger } from '@temporalio/worker';
import { build } from 'esbuild';
import { workflowBundle } from '../src/workers/workflow-bundle.ts';
import { bundleFolder, repository } from './fresh-bundle.mjs';

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

/**
 * Temporal's description of its messages, without what the CLI never sends: the SDK core's, the
 * Cloud's operations and how the methods map to HTTP. Reading all of it costs a CLI's start 40 ms more.
 * @type {import('esbuild').Plugin}
 */
const fewerMessages = {
  name: 'fewer-messages',
  setup(bundler) {
    bundler.onLoad({ filter: /@temporalio\/proto\/protos\/json-module\.js$/ }, ({ path }) => {
      const { nested } = createRequire(path)(path).toJSON();
      delete nested.coresdk;
      delete nested.temporal.nested.api.nested.cloud;
      dropMethodOptions(nested);
      const text = JSON.stringify(JSON.stringify(nested));
      return {
        contents: `const protobuf = require('protobufjs/light');
const root = (protobuf.roots.__temporal ??= new protobuf.Root());
module.exports = root.addJSON(JSON.parse(${text}));`,
        resolveDir: dirname(path),
      };
    });
  },
};

/** @param {Record<string, { nested?: object, methods?: Record<string, { options?: object }> }>} nested */
function dropMethodOptions(nested) {
  for (const { nested: inner, methods = {} } of Object.values(nested)) {
    for (const method of Object.values(methods)) {
      delete method.options;
      delete method.parsedOptions;
    }
    if (inner) dropMethodOptions(inner);
  }
}

/** @type {import('esbuild').BuildOptions} */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  logLevel: 'warning',
  plugins: [withoutModels],
};

// Packages in the old module format ask for these three by name; what makes them has names of its own,
// since the bundler does not know of them.
const banner = `
import { createRequire as requireIn } from 'node:module';
import { fileURLToPath as pathOf } from 'node:url';
const require = requireIn(import.meta.url);
const __filename = pathOf(import.meta.url);
const __dirname = import.meta.dirname;`;

// First, because the others' age tells whether all of them are fresh.
await workflowBundle(new DefaultLogger('ERROR'));

// Two that bundle at once must not read each other's half of a folder.
const partial = `${bundleFolder}.${process.pid}`;
await Promise.all([
  build({
    ...common,
    entryPoints: { cli: join(repository, 'src/client/main.ts') },
    plugins: [withoutModels, fewerMessages],
    outdir: partial,
    splitting: true,
    banner: { js: banner },
    minifyWhitespace: true,
    minifySyntax: true,
  }),
  // The worker's own packages stay outside: the Temporal SDK has native code and threads.
  build({
    ...common,
    entryPoints: { worker: join(repository, 'src/workers/main.ts') },
    outdir: partial,
    packages: 'external',
  }),
]);
rmSync(bundleFolder, { recursive: true, force: true });
renameSync(partial, bundleFolder);
