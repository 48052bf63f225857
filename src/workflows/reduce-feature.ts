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
    const unmeasured: Unmeasured = new Map();
    const { meant, why } = await reduce(run, flag, unmeasured);
    await leaveOn(run, flag, meant, why);
    for (const [text, shares] of unmeasured) {
      run.leaveOpen(`At ${shares.join(', ')} % nothing told whether to go on: ${text}`);
    }
  },

  byHand: lookAtFlag,
});

/** Shares at which the error rate could not be measured, by the words for why. */
type Unmeasured = Map<string, number[]>;

/** Answers the share that it meant to leave the feature at, and why there. */
async function reduce(
  run: Run,
  flag: ChangeMandate<ReductionChange>,
  unmeasured: Unmeasured,
): Promise<{ meant: number | null; why: string }> {
  const { before, after } = flag.change;
  const { percentages, percentage: last, watch, skipTo = last } = after;
  let from = before.percentage ?? undefined;
  for (const percentage of percentages.split(',').map(Number)) {
    const reduced = await reduceTo(run, flag, percentage, from);
    if (reduced.isOver) return { meant: last, why: 'which somebody else has seen to' };
    from = reduced.set;
    if (percentage === last) break;
    const cut = await run.wait(`Watch it at ${percentage} %`, durationMs(watch));
    if (cut?.stays) return { meant: percentage, why: `stopped by ${cut.by}` };
    if (cut) {
      await reduceTo(run, flag, skipTo, from);
      return { meant: skipTo, why: `hurried by ${cut.by}` };
    }
    const measured = await measure(run, flag, percentage);
    if (measured?.isAbove === false) return { meant: measured.percentage, why: measured.text };
    if (measured && measured.isAbove === undefined) {
      unmeasured.set(measured.text, [...(unmeasured.get(measured.text) ?? []), percentage]);
    }
  }
  return { meant: last, why: 'no lower share was asked for' };
}

interface Reduced {
  /** The share that the run has set last, which is an earlier one where somebody left this out. */
  set: number | undefined;
  /** Whether somebody else has done what is left of it. */
  isOver: boolean;
}

async function reduceTo(
  run: Run,
  flag: ChangeMandate<ReductionChange>,
  percentage: number,
  from: number | undefined,
): Promise<Reduced> {
  const [cache] = run.changes<ClearingChange>('cache');
  const reduced: Reduced = { set: from, isOver: false };
  await run.step(`Reduce it to ${percentage} %`, {
    async do() {
      const effect = await features.setFlag(flag, percentage, from);
      reduced.set = percentage;
      // Results of earlier versions do not say.
      reduced.isOver = effect.isOver === true;
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
  return reduced;
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
