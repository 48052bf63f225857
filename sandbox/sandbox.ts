/**
 * A sandbox from code: what tests, demo and bench use.
 *
 *     const variables = await up({ dir, readyMs: 100, without: ['temporal'] });
 *     try { ... } finally { await down(dir); }
 */
export { down, type DownOptions } from './down.ts';
export { environment, type Environment } from './environment.ts';
export type { Part } from './servers/all.ts';
export { status, type ServerStatus } from './status.ts';
export { up, type UpOptions } from './up.ts';
