import { down } from '../../sandbox/sandbox.ts';

export default async function globalTeardown(): Promise<void> {
  if (globalThis.sandboxFolder) await down(globalThis.sandboxFolder);
}
