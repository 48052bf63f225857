import type { MeasuredRate } from '../activities/features/error-rate.ts';
import type { ReductionChange } from '../activities/features/flag-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import { durationMs } from '../contract/duration.ts';
import { lookAtFlag } from './disable-feature.ts';
import { features, redis } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';
import type { ChangeMandate, Run } from './run/run.ts';

/**
 * R15: `for pct in 50 25 10 5 0`, a `curl -X PATCH` and two minutes' watching each. An error rate above
 * the gate lets it go on, one at or below stops it there; one that cannot be measured lets it go on.
 */
export const reduceFeature = runbook('reduce-feature', {
  plan: (...request) => features.planReduction(...request),

  async steps(run) {
    const flag = run.change<ReductionChange>('flag');
    const { percentages, percentage: last, watch } = flag.change.after;
    let isHurried = false;
    for (const percentage of percentages.split(',').map(Number)) {
      if (percentage === last) {
        await reduceTo(run, flag, last);
        if (last > 0) leaveOn(run, flag, last, 'no lower share was asked for');
        return;
      }
      if (isHurried) continue;
      await reduceTo(run, flag, percentage);
      isHurried = await run.wait(`Watch it at ${percentage} %`, durationMs(watch));
      if (isHurried) continue;
      const measured = await measure(run, flag, percentage);
      if (measured?.isAbove === false) {
        return leaveOn(run, flag, measured.percentage, measured.text);
      }
    }
  },

  byHand: lookAtFlag,
});

async function reduceTo(run: Run, flag: ChangeMandate<ReductionChange>, percentage: number) {
  const [cache] = run.changes<ClearingChange>('cache');
  await run.step(`Reduce it to ${percentage} %`, {
    async do() {
      const effect = await features.setFlag(flag, percentage);
      if (cache) await redis.clearCache(cache);
      await features.awaitFlag(flag, percentage);
      return effect;
    },
    async undo() {
      const { text } = await features.setFlag(flag.inverse);
      if (cache) await redis.clearCache(cache.inverse);
      await features.awaitFlag(flag.inverse);
      return text;
    },
    undoOnlyIf: () => features.compareFlag(flag),
  });
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

function leaveOn(
  run: Run,
  { change: { target } }: ChangeMandate<ReductionChange>,
  percentage: number,
  why: string,
) {
  run.leaveOpen(
    `Feature ${target.name} is still on at ${percentage} % (${why}): rollback feature ${target.name} turns it off`,
  );
}
