import { availableParallelism } from 'node:os';

/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2024' },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Waits are on events of real servers; a test that needs longer, even on a busy machine, has lost one.
  testTimeout: 120_000,
  // A third of a file's time is spent waiting; more workers than this only wait for each other.
  maxWorkers: Math.min(8, availableParallelism() + 1),
  // The modules of files that have ended stay in memory, and the last files would take three times as long.
  workerIdleMemoryLimit: '900MB',
};
