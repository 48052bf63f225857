import { DefaultLogger } from '@temporalio/worker';

/** Logs nothing below errors, so that a test's output is its own. */
export const silentLogger = new DefaultLogger('ERROR');
