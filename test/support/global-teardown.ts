import { rmSync } from 'node:fs';
import { down } from '../../sandbox/sandbox.ts';

export default async function globalTeardown(): Promise<void> {
  const folder = globalThis.sandboxFolder;
  if (!folder) return;
  await down(folder);
  rmSync(folder, { recursive: true, force: true });
}
