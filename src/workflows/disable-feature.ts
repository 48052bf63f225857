import type { DisablingChange, FlagMandate } from '../activities/features/flag-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import type { Effect, Mandate, Plan } from '../contract/plan.ts';
import { features, redis } from './run/proxies.ts';
import { runbook } from './run/runbook.ts';

/**
 * R14: `curl -X PATCH .../admin/features`, `redis-cli FLUSHDB` of what is cached of the flag and no more,
 * and `curl .../features/NAME` until everybody reads it as off.
 */
export const disableFeature = runbook('feature', {
  plan: (...request) => features.planDisabling(...request),

  async steps(run) {
    const [flag] = run.changes<DisablingChange>('flag');
    const [cache] = run.changes<ClearingChange>('cache');
    if (flag) {
      await run.step('Turn the feature off', {
        isNeeded: true,
        do: () => features.setFlag(flag),
        undo: async () => {
          const { text } = await features.setFlag(flag.inverse);
          if (cache) await redis.clearCache(cache.inverse);
          await readBack(flag.inverse, cache?.inverse);
          return text;
        },
        undoOnlyIf: () => features.compareFlag(flag),
      });
    }
    if (cache) await run.step('Clear the cache', { do: () => redis.clearCache(cache) });
    const changed = flag ?? cache;
    if (changed) await run.step('Read it back', { do: () => readBack(changed, cache) });
  },

  byHand: lookAtFlag,
});

/**
 * Reads a flag as everybody does, until it is as changed. What readers that had read it before the change
 * have put into the cache since it was cleared goes as well.
 */
export async function readBack(
  changed: FlagMandate | Mandate<ClearingChange>,
  cache: Mandate<ClearingChange> | undefined,
  percentage?: number,
): Promise<Effect> {
  const read = await features.awaitFlag(changed, percentage, cache !== undefined);
  if (!read.isCachedAgain || !cache) return read;
  await redis.clearCache(cache);
  return features.awaitFlag(changed, percentage);
}

/** Commands that show what stands there. */
export function lookAtFlag({ targets }: Plan): string[] {
  const flags = targets.filter(({ kind }) => kind === 'feature');
  return flags.flatMap(({ namespace, name }) => [
    `See what stands there: rollback feature ${name} --system ${namespace} --dry-run`,
    `Turn it off by hand: rollback plan feature ${name} --system ${namespace} --commands`,
  ]);
}
