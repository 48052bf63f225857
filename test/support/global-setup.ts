import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down, up } from '../../sandbox/sandbox.ts';
import { workflowBundle } from '../../src/workers/workflow-bundle.ts';
import { silentLogger } from './silent-logger.ts';

declare global {
  var sandboxFolder: string | undefined;
}

/** One cluster, PostgreSQL and Redis for all test files; each file starts a Temporal of its own. */
export default async function globalSetup(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'rollback-test-'));
  // PostgreSQL refuses to run as root, and its own user must reach its data below.
  chmodSync(dir, 0o755);
  globalThis.sandboxFolder = dir;
  try {
    const [variables] = await Promise.all([
      up({ dir, readyMs: 300, without: ['temporal'] }),
      workflowBundle(silentLogger),
    ]);
    // What the tests write is gone when they have ended, however they ended.
    const temporary = join(dir, 'tmp');
    mkdirSync(temporary);
    Object.assign(process.env, variables, { TMPDIR: temporary });
  } catch (error) {
    await down(dir);
    throw error;
  }
}
