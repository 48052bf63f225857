import { outcomes } from '../contract/run.ts';

/** Exit codes that are no outcome's alone; the others stand in `outcomes`. */
export const exitCodes = {
  usage: outcomes.invalid.exitCode,
  unreachable: outcomes.unreachable.exitCode,
} as const;

/** Ends the CLI with one sentence on stderr and an exit code. */
export class CliError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number = exitCodes.usage) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What to do where no worker answers; part of every such message. */
export const startWorker = 'start one with npm run worker, or see docs/last-resort.md';

/** What always helps where Temporal or the cluster does not answer; part of every such message. */
export const lastResort =
  'For the rollback without Temporal, see rollback plan deployment NAME --commands (docs/last-resort.md).';
