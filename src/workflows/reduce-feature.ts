import { patched } from '@temporalio/workflow';
import type { MeasuredRate } from '../activities/features/error-rate.ts';
import type { ReductionChange } from '../activities/features/flag-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import { durationMs } from '../contract/duration.ts';
import { lookAtFlag, readBack } from './disable-feature.ts';
import { features, redis } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/run.ts';

/**
 * R15: `for pct in 50 25 10 5 0`, a `curl -X PATCH` and two minutes' watching each. An error rate above
 * the gate lets it go on, one at or below stops it there; one that cannot be measured lets it go on.
 * While a share is watched, somebody may hurry it to zero, or stop it there.
 */
export const reduceFeature = runbook('reduce-feature', {
  plan: (...request) => features.planReduction(...request),

  async steps(run) {
    const flag = run.change<ReductionChange>('flag');
    const { before, after } = flag.change;
    const { percentages, percentage: last, watch, skipTo = last } = after;
    let from = before.percentage ?? undefined;
    for (const percentage of percentages.split(',').map(Number)) {
      from = await reduceTo(run, flag, percentage, from);
      if (percentage === last) break;
      const cut = await run.wait(`Watch it at ${percentage} %`, durationMs(watch));
      if (cut?.stays) return leaveOn(run, flag, percentage, `stopped by ${cut.by}`);
      if (cut) {
        await reduceTo(run, flag, skipTo, from);
        return leaveOn(run, flag, skipTo, `hurried by ${cut.by}`);
      }
      const measured = await measure(run, flag, percentage);
      if (measured?.isAbove === false) {
        return leaveOn(run, flag, measured.percentage, measured.text);
      }
    }
    return leaveOn(run, flag, last, 'no lower share was asked for');
  },

  byHand: lookAtFlag,
});

/** Answers the share that the run has set last, which is an earlier one where somebody left this out. */
async function reduceTo(
  run: Run,
  flag: ChangeMandate<ReductionChange>,
  percentage: number,
  from: number | undefined,
): Promise<number | undefined> {
  const [cache] = run.changes<ClearingChange>('cache');
  let set = from;
  await run.step(`Reduce it to ${percentage} %`, {
    async do() {
      const effect = await features.setFlag(flag, percentage, from);
      set = percentage;
      if (cache) await redis.clearCache(cache);
      await readBack(flag, cache, percentage);
      return effect;
    },
    async undo() {
      const { text } = await features.setFlag(flag.inverse);
      if (cache) await redis.clearCache(cache.inverse);
      await readBack(flag.inverse, cache?.inverse);
      return text;
    },
    undoOnlyIf: () => features.compareFlag(flag),
  });
  return set;
}

/** Undefined where somebody has left the measurement out. */
async function measure(run: Run, flag: ChangeMandate<ReductionChange>, percentage: number) {
  let measured: MeasuredRate | undefined;
  await run.step(`Measure the error rate at ${percentage} %`, {
    async do() {
      measured = await features.measureErrorRate(flag);
      return measured.text;
    },
  });
  return measured;
}

/** Says where the feature stands, which somebody else may have changed, or a step that was left out. */
async function leaveOn(
  run: Run,
  flag: ChangeMandate<ReductionChange>,
  meant: number | null,
  why: string,
): Promise<void> {
  const { name } = flag.change.target;
  const standing = patched('tells-where-it-stands')
    ? await features.tellStanding(flag)
    : meant !== 0 && `still on at ${meant} %`;
  if (!standing) return;
  run.leaveOpen(`Feature ${name} is ${standing} (${why}): rollback feature ${name} turns it off`);
}
