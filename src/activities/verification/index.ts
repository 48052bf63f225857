/** Activities that verify, under the names that follow `verification.` in the contract. */
import { ApplicationFailure } from '@temporalio/common';
import type { LoadedSettings } from '../../config/settings.ts';
import { failureTypes } from '../../contract/failures.ts';
import type { Change, PlannedCheck } from '../../contract/plan.ts';
import type { Clusters } from '../kubernetes/api.ts';
import { podTemplateHash, readHistory } from '../kubernetes/revisions.ts';
import { activityProgress } from '../progress.ts';
import { measureHealth, measureLogs, measureSmoke, type Measurement } from './checks.ts';

export interface CheckRequest {
  check: PlannedCheck;
  /** The change whose effect is verified. */
  change: Change;
}

export function verificationActivities(clusters: Clusters, { settings, folder }: LoadedSettings) {
  return {
    /**
     * Runs one planned check, again and again as its settings say, until it is green.
     * @throws CheckFailed with the last measurement where it stays red.
     */
    async runCheck({ check: planned, change }: CheckRequest): Promise<string> {
      const progress = activityProgress();
      const signal = progress.cancelled;
      const checks = settings.services[planned.service]?.checks ?? {};
      const check = checks[planned.check];
      if (!check) {
        throw ApplicationFailure.nonRetryable(
          `The settings no longer have the check ${planned.check} of service ${planned.service}, which the plan names.`,
          failureTypes.checkFailed,
        );
      }
      const measure = (): Promise<Measurement> => {
        if (planned.check === 'health' && checks.health) return measureHealth(checks.health, signal);
        if (planned.check === 'logs' && checks.logs) {
          const { context, namespace, name } = change.target;
          const cluster = clusters.of(context);
          const logs = checks.logs;
          return readHistory(cluster, namespace, name).then((history) =>
            measureLogs(
              logs,
              cluster,
              namespace,
              history?.current ? podTemplateHash(history.current.replicaSet) : '',
            ),
          );
        }
        if (checks.smoke) return measureSmoke(checks.smoke, folder, signal);
        throw new Error(`No check ${planned.check}.`);
      };
      const giveUp = Date.now() + check.limit;
      for (let attempt = 0; ; attempt++) {
        const { green, text } = await measure();
        if (green) return text;
        if (attempt === check.retries || Date.now() + check.every > giveUp) {
          throw ApplicationFailure.nonRetryable(
            `${text}; ${attempt + 1} tries.`,
            failureTypes.checkFailed,
          );
        }
        progress.report(`${text}; trying again`);
        await new Promise((resolve) => setTimeout(resolve, check.every));
        signal.throwIfAborted();
      }
    },
  };
}
export type VerificationActivities = ReturnType<typeof verificationActivities>;
