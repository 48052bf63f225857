import type { DisablingChange } from '../activities/features/flag-change.ts';
import type { ClearingChange } from '../activities/redis/cache-change.ts';
import type { Plan } from '../contract/plan.ts';
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
        do: () => features.setFlag(flag),
        undo: async () => {
          const { text } = await features.setFlag(flag.inverse);
          if (cache) await redis.clearCache(cache.inverse);
          await features.awaitFlag(flag.inverse);
          return text;
        },
        undoOnlyIf: () => features.compareFlag(flag),
      });
    }
    if (cache) await run.step('Clear the cache', { do: () => redis.clearCache(cache) });
    const changed = flag ?? cache;
    if (changed) await run.step('Read it back', { do: () => features.awaitFlag(changed) });
  },

  byHand: lookAtFlag,
});

/** Commands that show what stands there. */
export function lookAtFlag({ targets }: Plan): string[] {
  const flags = targets.filter(({ kind }) => kind === 'feature');
  return flags.flatMap(({ namespace, name }) => [
    `See what stands there: rollback feature ${name} --system ${namespace} --dry-run`,
    `Turn it off by hand: rollback plan feature ${name} --system ${namespace} --commands`,
  ]);
}
