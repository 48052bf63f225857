import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { bundleWorkflowCode, type Logger } from '@temporalio/worker';

/** Two folders up, from the sources as from build/bundle. */
const repository = resolve(import.meta.dirname, '../..');
const folder = join(repository, 'build');

/**
 * The workflow code as one file, made only if its sources changed since the last time: a worker
 * with a bundle made ahead is ready seconds sooner and takes a third less memory.
 */
export async function workflowBundle(logger: Logger): Promise<{ codePath: string }> {
  const codePath = join(folder, `workflow-bundle-${sourcesHash()}.js`);
  if (existsSync(codePath)) return { codePath };
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(repository, 'src/workflows/index.ts'),
    payloadConverterPath: join(repository, 'src/workflows/run/payload-converter.ts'),
    // Without state of any run, and too much to load anew for each.
    preloadModules: [join(repository, 'src/workflows/run/ed25519.ts')],
    logger,
  });
  mkdirSync(folder, { recursive: true });
  // Two that bundle at once must not read each other's half of a file.
  const partial = `${codePath}.${process.pid}`;
  writeFileSync(partial, code);
  renameSync(partial, codePath);
  return { codePath };
}

/** Hash of everything that goes into the bundle. */
function sourcesHash(): string {
  const hash = createHash('sha256');
  for (const folder of ['src/workflows', 'src/contract']) {
    const files = readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts')).sort()) {
      hash.update(file).update(readFileSync(join(repository, folder, file)));
    }
  }
  for (const file of ['src/workers/workflow-bundle.ts', 'package-lock.json']) {
    hash.update(readFileSync(join(repository, file)));
  }
  return hash.digest('hex').slice(0, 16);
}
