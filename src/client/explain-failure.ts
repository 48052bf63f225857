import { ApplicationFailure } from '@temporalio/common';
import { toFailure } from '../activities/failures.ts';
import { SettingsError } from '../config/settings.ts';
import { outcomes } from '../contract/run.ts';
import { CliError, exitCodes } from './errors.ts';

/** What a command that works without Temporal ran into, in words, with the exit code of its outcome. */
export function explainFailure(error: unknown): { message: string; exitCode: number } {
  if (error instanceof SettingsError) return { message: error.message, exitCode: exitCodes.usage };
  if (error instanceof CliError) return error;
  const failure = toFailure(error);
  const type = failure instanceof ApplicationFailure ? failure.type : undefined;
  const outcome = Object.values(outcomes).find((candidate) => candidate.failure === type);
  return { message: failure.message, exitCode: outcome?.exitCode ?? outcomes.failed.exitCode };
}
