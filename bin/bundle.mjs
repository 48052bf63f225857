// Makes the CLI's bundle; the set-up runs this whenever a source is newer.
import { rmSync, renameSync } from 'node:fs';
import { build } from 'esbuild';
import { bundleFolder, sourceEntry } from './fresh-bundle.mjs';

// Packages in the old module format ask for these three by name.
const banner = `
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
const require = createRequire(import.meta.url);
const __filename = fileURLToPath(import.meta.url);
const __dirname = import.meta.dirname;`;

// Two that bundle at once must not read each other's half of a folder.
const partial = `${bundleFolder}.${process.pid}`;
await build({
  entryPoints: [sourceEntry],
  outdir: partial,
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  banner: { js: banner },
  logLevel: 'warning',
});
rmSync(bundleFolder, { recursive: true, force: true });
renameSync(partial, bundleFolder);
