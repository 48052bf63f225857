/** Activities that verify, under the names that follow `verification.` in the contract. */
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { Service } from '../../config/schema.ts';
import { settingsIn } from '../../config/services.ts';
import type { LoadedSettings } from '../../config/settings.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Change, Mandate, PlannedCheck } from '../../contract/plan.ts';
import { counted } from '../../contract/printable.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { activityProgress } from '../progress.ts';
import { measureHealth, measureLogs, measureSmoke, type Measurement } from './checks.ts';

export function verificationActivities(clusters: Clusters, { settings, folder }: LoadedSettings) {
  return {
    /**
     * Runs one planned check of a change's effect, again and again as its settings say, until it is
     * green.
     * @throws CheckFailed with the last measurement where it stays red.
     */
    async runCheck({ change }: Mandate, planned: PlannedCheck): Promise<string> {
      const progress = activityProgress();
      const check = prepare(
        planned,
        change,
        settingsIn(settings, change.target.region).services,
        clusters,
        folder,
      );
      if (!check) {
        throw checkFailed(
          `The settings no longer have the check ${planned.check} of service ${planned.service}, which the plan names.`,
        );
      }
      const red = progress.standstill('red');
      const tries = check.retries + 1;
      progress.report(`Measuring ${planned.check}, at most ${tries} times`, 0, tries);
      for (let attempt = 1; ; attempt++) {
        const { green, text } = await check.measure(progress.cancelled);
        if (green) return text;
        if (attempt > check.retries || red.ms() + check.every > check.limit) {
          throw checkFailed(`${text}; ${counted(attempt, 'attempt')}.`);
        }
        progress.report(`${text}; trying again`, attempt, tries);
        await delay(check.every, undefined, { signal: progress.cancelled });
      }
    },
  };
}
export type VerificationActivities = ReturnType<typeof verificationActivities>;

interface PreparedCheck {
  retries: number;
  /** Milliseconds between tries, and for all of them. */
  every: number;
  limit: number;
  measure: (signal: AbortSignal) => Promise<Measurement>;
}

/** The planned check with its settings; undefined where the settings no longer have it. */
function prepare(
  { service, check }: PlannedCheck,
  change: Change,
  services: Record<string, Service>,
  clusters: Clusters,
  folder: string,
): PreparedCheck | undefined {
  const { health, logs, smoke } = services[service]?.checks ?? {};
  switch (check) {
    case 'health':
      return health && { ...health, measure: (signal) => measureHealth(health, signal) };
    case 'smoke':
      return smoke && { ...smoke, measure: (signal) => measureSmoke(smoke, folder, signal) };
    case 'logs':
      return (
        logs && {
          ...logs,
          measure: () => measureLogs(logs, clusters.of(change.target.context), change),
        }
      );
  }
}

function checkFailed(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.checkFailed);
}
